"""Conditional decode: a request that prefers cached work is refused with 412 where none is.

A coordinator asks with `prefer: if-available` (RFC 7240) to decode at once, and goes through all stages when it is told
412. Available means that the endpoint that was picked holds at least one block of the prompt, as far as any producer of
prefix matches knows.
Source: conditional decode of the reference endpoint picker.
"""

from typing import Final

from epp.core.domain.errors import PreconditionFailed
from epp.core.scheduling.cycle import Cycle, ProfileResult
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch

PREFER: Final = "prefer"
IF_AVAILABLE: Final = "if-available"


def check_available(cycle: Cycle, picked: ProfileResult) -> None:
    """Raises PreconditionFailed where the request insists on cached work and `picked` has none."""
    preferences = cycle.request.headers.get(PREFER)
    if not preferences or not any(_name(preference) == IF_AVAILABLE for preference in preferences.split(",")):
        return
    matches = [product for product in cycle.products.values() if isinstance(product, PrefixMatch)]
    if not any(match.by_slot.get(picked.slot, 0.0) > 0.0 for match in matches):
        raise PreconditionFailed(
            "no decode worker has the requested KV cache",
            hint="the request was sent with `prefer: if-available`; send it through all stages",
        )


def _name(preference: str) -> str:
    return preference.partition(";")[0].partition("=")[0].strip().lower()
