"""lora-affinity-scorer: prefers endpoints where the request's adapter already runs.

score = 1.0 if the adapter is among the running ones, else 0.8 if len(running) + len(waiting) < max_lora,
else 0.6 if the adapter is among the waiting ones, else 0. An engine shows max_lora only once it has had a request for
an adapter; until then it counts as the largest that another candidate shows, so that the first pod with an adapter does
not draw everything (it does in the reference).
Source: lora-affinity-scorer of the reference endpoint picker; adapters from vllm:lora_requests_info, which lists only
adapters that have a request running or waiting.
"""

import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn

RUNNING = 1.0
FREE_SLOT = 0.8
WAITING = 0.6


class LoraAffinityScorer:
    """No parameters."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        adapter = cycle.request.target_model
        load = cycle.snapshot.load
        scores = np.zeros(len(candidates))
        shown = load.max_adapters[candidates.slots]
        places = np.where(shown > 0.0, shown, shown.max(initial=0.0)).tolist()
        for index, slot in enumerate(candidates.slots.tolist()):
            running, waiting = load.running_adapters[slot], load.waiting_adapters[slot]
            if adapter in running:
                scores[index] = RUNNING
            elif len(running) + len(waiting) < places[index]:
                scores[index] = FREE_SLOT
            elif adapter in waiting:
                scores[index] = WAITING
        return scores
