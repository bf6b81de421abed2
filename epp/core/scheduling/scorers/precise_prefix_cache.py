"""precise-prefix-cache-scorer: prefix-cache-scorer over matches of events; the deprecated form with both in one.

score = matched blocks / total blocks; 0 when the prompt is shorter than one block. Its parameters are those of
precise-prefix-cache-producer and are handed to the producer that is made for it.
Source: precise-prefix-cache-scorer of the reference.
"""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheParameters
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from epp.core.state.columns import FloatColumn


class PrecisePrefixCacheScorerParameters(PrecisePrefixCacheParameters, frozen=True):
    """Those of the producer."""

    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""

    @property
    def producer_parameters(self) -> PrecisePrefixCacheParameters:
        """Those for a producer of the scorer's own."""
        return PrecisePrefixCacheParameters(
            **{name: getattr(self, name) for name in PrecisePrefixCacheParameters.__struct_fields__}
        )


class PrecisePrefixCacheScorer:
    """Reads the PrefixMatch that the producer left in the cycle."""

    def __init__(self, parameters: PrecisePrefixCacheScorerParameters) -> None:
        self._scorer = PrefixCacheScorer(
            PrefixCacheParameters(prefix_match_info_producer_name=parameters.prefix_match_info_producer_name)
        )

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return self._scorer.score(cycle, candidates)
