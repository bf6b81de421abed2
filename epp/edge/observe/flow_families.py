"""The metric families of flow control, under the names that dashboards know; see `epp.edge.observe.families`."""

from typing import Literal

from epp.edge.observe.families import LATENCY_S, SCHEDULER_S, Exposed, Family

# A queue's key is (fairness id, priority, pool, model, target model); that of a wait has the outcome behind it.
_FLOW = (
    ("fairness_id", 0),
    ("priority", 1),
    ("inference_pool", 2),
    ("model_name", 3),
    ("target_model_name", 4),
)
WAIT_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, *LATENCY_S[:23])
"""from a tenth of a millisecond to a minute"""


def _family(
    kind: Literal["counter", "gauge", "histogram"],
    name: str,
    help_text: str,
    labels: tuple[tuple[str, int], ...] = (),
    buckets: tuple[float, ...] = (),
) -> Family:
    """A family that has the same name in both vocabularies, but for the prefix."""
    gie, llm_d = (Exposed(f"{prefix}_{name}", labels) for prefix in ("inference_extension", "llm_d_epp"))
    return Family(kind, help_text, gie=gie, llm_d=llm_d, buckets=buckets)


QUEUE_DURATION = _family(
    "histogram",
    "flow_control_request_queue_duration_seconds",
    "Seconds that a request waited, by what became of it; requests that went at once waited 0.",
    (*_FLOW, ("outcome", 5)),
    buckets=WAIT_S,
)
CYCLE = _family(
    "histogram",
    "flow_control_dispatch_cycle_duration_seconds",
    "Seconds of one turn in which flow control let go who might go.",
    buckets=SCHEDULER_S,
)
QUEUE_SIZE = _family(
    "gauge",
    "flow_control_queue_size",
    "Requests that wait.",
    _FLOW,
)
QUEUE_BYTES = _family(
    "gauge",
    "flow_control_queue_bytes",
    "Bytes of the bodies of requests that wait.",
    _FLOW,
)
SATURATION = Family(
    "gauge",
    "How full the pool is, 1 and more is full.",
    gie=Exposed("inference_extension_flow_control_pool_saturation", (("inference_pool", 0),)),
    llm_d=Exposed("llm_d_epp_flow_control_pool_saturation", (("inference_pool", 0), ("stage", 1))),
)
REQUESTS = _family(
    "counter",
    "flow_control_requests_total",
    "Requests that flow control let go, refused or gave up.",
    (("outcome", 0), ("priority", 1), ("inference_pool", 2)),
)
_BAND = (("priority", 0), ("inference_pool", 1))
BAND_REQUESTS = _family(
    "gauge",
    "flow_control_capacity_utilization_requests",
    "Waiting requests of a priority, as a share of its limit; left out where there is none.",
    _BAND,
)
BAND_BYTES = _family(
    "gauge",
    "flow_control_capacity_utilization_bytes",
    "Waiting bytes of a priority, as a share of its limit; left out where there is none.",
    _BAND,
)
_POOL = (("inference_pool", 0),)
ALL_REQUESTS = _family(
    "gauge",
    "flow_control_global_capacity_utilization_requests",
    "Waiting requests as a share of the common limit; left out where there is none.",
    _POOL,
)
ALL_BYTES = _family(
    "gauge",
    "flow_control_global_capacity_utilization_bytes",
    "Waiting bytes as a share of the common limit; left out where there is none.",
    _POOL,
)
BROKEN_OFF = _family(
    "counter",
    "flow_control_revocations_issued_total",
    "Dispatched requests that were broken off for requests of higher priority.",
    _POOL,
)
UNCONFIRMED = Family(
    "counter",
    "Requests that were broken off and whose stream did not end in time.",
    own=Exposed("epp_unconfirmed_evictions_total"),
)
ATTAINED_SERVICE = _family(
    "gauge",
    "program_aware_attained_service_tokens",
    "Tokens that a tenant was served lately, prompt + 2 * completion, fading with the policy's half-life.",
    (("program_id", 0),),
)
FAIRNESS_INDEX = _family(
    "gauge",
    "program_aware_jains_fairness_index",
    "Jain's index of the attained service: 1 when all tenants were served alike, 1/n when one of n had everything.",
)
