"""Catalogue entries of types that bind sessions to endpoints."""

from collections.abc import Callable
from typing import Any

from epp.core.config.catalogue import Need, PluginKind, PluginType, Stability
from epp.core.config.settings import PluginSettings, parameters_as
from epp.core.scheduling.built_in import BuiltIn, DeciderByName, Plugin, no_decider
from epp.core.scheduling.control_catalogue import SESSION_ID_PRODUCER
from epp.core.scheduling.session_bonds import SessionAffinityParameters
from epp.core.scheduling.session_token import NO_KEY, SessionKey


def session_affinity(
    name: str, kind: PluginKind, make: Callable[[SessionAffinityParameters, SessionKey], Plugin]
) -> BuiltIn:
    """An entry of BUILT_INS for a type that makes session tokens; `make` takes the key too."""

    def build(
        settings: PluginSettings,
        session_key: SessionKey = NO_KEY,
        decider: DeciderByName = no_decider,  # noqa: ARG001  only profile handlers need it
    ) -> Plugin:
        return make(parameters_as(SessionAffinityParameters, settings), session_key)

    plugin_type = PluginType(
        name,
        frozenset((kind,)),
        SessionAffinityParameters,
        stability=Stability.ALPHA,
        needs=_session_id,
        inert_fields={"evictionSweepSeconds": "expired sessions are dropped whenever one is bound"},
    )
    return BuiltIn(plugin_type, build)


def _session_id(parameters: Any) -> tuple[Need, ...]:
    return (Need("session_id_producer_name", SESSION_ID_PRODUCER),) if parameters.session_id_producer_name else ()
