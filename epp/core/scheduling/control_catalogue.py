"""The built-in plugin types that work without a profile, and the producer of session ids."""

from epp.core.config.catalogue import NoParameters, PluginKind, Stability
from epp.core.scheduling.admitters.probabilistic import ProbabilisticAdmitter, ProbabilisticAdmitterParameters
from epp.core.scheduling.built_in import BuiltIn, built_in
from epp.core.scheduling.producers.session_id import SessionIdProducer, SessionIdProducerParameters
from epp.core.scheduling.reporters.request_attribute import (
    RequestAttributeReporter,
    RequestAttributeReporterParameters,
)
from epp.core.scheduling.request_headers.agent_identity import AgentIdentity, AgentIdentityParameters
from epp.core.scheduling.response_headers.destination_endpoint_served import DestinationEndpointServedVerifier
from epp.core.scheduling.screeners.disaggregatedset_rollout import (
    DisaggregatedSetRolloutParameters,
    DisaggregatedSetRolloutScreener,
)

SESSION_ID_PRODUCER = "session-id-producer"

REQUEST_CONTROL: tuple[BuiltIn, ...] = (
    built_in(
        SESSION_ID_PRODUCER, PluginKind.PRODUCER, SessionIdProducerParameters, lambda _name, p: SessionIdProducer(p)
    ),
    built_in(
        "agent-identity",
        PluginKind.REQUEST_HEADER_PROCESSOR,
        AgentIdentityParameters,
        lambda _name, p: AgentIdentity(p),
        stability=Stability.ALPHA,
    ),
    built_in(
        "disaggregatedset-rollout-screener",
        PluginKind.SCREENER,
        DisaggregatedSetRolloutParameters,
        lambda _name, p: DisaggregatedSetRolloutScreener(p),
        stability=Stability.ALPHA,
    ),
    built_in(
        "probabilistic-admitter",
        PluginKind.ADMITTER,
        ProbabilisticAdmitterParameters,
        lambda _name, p: ProbabilisticAdmitter(p),
    ),
    built_in(
        "destination-endpoint-served-verifier",
        PluginKind.RESPONSE_HEADER_PROCESSOR,
        NoParameters,
        lambda _name, _p: DestinationEndpointServedVerifier(),
    ),
    built_in(
        "request-attribute-reporter",
        PluginKind.REPORTER,
        RequestAttributeReporterParameters,
        lambda _name, p: RequestAttributeReporter(p),
    ),
)
