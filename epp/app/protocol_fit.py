"""Whether the configured parsers fit the way in which the pool's pods are spoken to."""

from epp.core.domain.pool import InferencePool
from epp.core.protocol.apis.parsers import PARSERS, ParserTable


def protocol_mismatch(pool: InferencePool | None, parsers: ParserTable) -> str:
    """Why requests would fail, in words for the operator; empty when they fit or the pool does not say."""
    if pool is None or pool.app_protocol is None:
        return ""
    spoken = pool.app_protocol
    unfit = parsers.unfit_for(spoken)
    if not unfit:
        return ""
    wanted = " and ".join(f"{name} needs {' or '.join(PARSERS[name].app_protocols)}" for name in unfit)
    return f"InferencePool {pool.name}: appProtocol is {spoken}, but {wanted}"
