"""concurrency-detector as a filter: leaves out endpoints that have enough of our own requests or tokens.

An endpoint stays if n < maxConcurrency * (1 + headroom) with n our unfinished requests (mode requests), or
t < maxTokenConcurrency * (1 + headroom) with t their prompt tokens (mode tokens), or both (mode hybrid). Nobody may be
left: then the request is refused. It needs no scraping.
Source: concurrency-detector of the reference endpoint picker.
"""

import numpy as np

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.scheduling.cycle import Candidates, Cycle


class ConcurrencyDetectorFilter:
    """See the module."""

    def __init__(self, parameters: ConcurrencyDetectorParameters) -> None:
        slack = 1.0 + parameters.headroom
        mode = parameters.concurrency_mode
        self._most_requests = np.inf if mode == "tokens" else parameters.max_concurrency * slack
        self._most_tokens = np.inf if mode == "requests" else parameters.max_token_concurrency * slack

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        requests, tokens = cycle.ledger.requests[candidates.slots], cycle.ledger.tokens[candidates.slots]
        return candidates.keep((requests < self._most_requests) & (tokens < self._most_tokens))
