"""The metric families: one table of names, labels, kinds and buckets, in the vocabularies that dashboards know.

`gie` names are those of the gateway API inference extension (v1.5), `llm_d` those of llm-d-router, `own` ones are ours
and always shown. The numbers behind a family are keyed by a tuple of label values; a label says which position of the
key it shows, and series that differ only in positions a vocabulary does not show are added up.
"""

from enum import Enum
from typing import Literal

import msgspec


class Dialect(Enum):
    """Which vocabularies the page speaks."""

    GIE = "gie"
    LLM_D = "llm-d"
    BOTH = "both"


class Exposed(msgspec.Struct, frozen=True):
    """A name on the page."""

    name: str
    labels: tuple[tuple[str, int], ...] = ()
    """label and the position in the key that it shows"""


class Family(msgspec.Struct, frozen=True):
    """One fact and its names."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    gie: Exposed | None = None
    llm_d: Exposed | None = None
    own: Exposed | None = None
    buckets: tuple[float, ...] = ()

    def exposed(self, dialect: Dialect) -> list[Exposed]:
        """The names under which the fact is shown, possibly none."""
        shown = [self.own]
        if dialect is not Dialect.LLM_D:
            shown.append(self.gie)
        if dialect is not Dialect.GIE:
            shown.append(self.llm_d)
        return [exposed for exposed in shown if exposed is not None]


# Buckets are the reference's, including its 32778 where 32768 was meant: dashboards and recorded series know them.
LATENCY_S = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0,
)  # fmt: skip
PER_TOKEN_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SCHEDULER_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
REQUEST_SIZES = tuple(float(2**power) for power in range(6, 31))
_UP_TO_8192 = (1.0, *(float(2**power) for power in range(3, 14)))
RESPONSE_SIZES = (*_UP_TO_8192, 16384.0, 32778.0, 65536.0)
OUTPUT_TOKENS_BUCKETS = _UP_TO_8192
PROMPT_TOKENS_BUCKETS = (*RESPONSE_SIZES, 131072.0, 262144.0, 524288.0, 1048576.0)

# A request's key is (model, target model, fairness id, priority), here and there with one more value behind it.
_MODEL = ("model_name", 0)
_TARGET = ("target_model_name", 1)
_PRIORITY = ("priority", 3)
_MODELS = (_MODEL, _TARGET)
_FLOW = (_MODEL, _TARGET, ("fairness_id", 2), _PRIORITY)

REQUESTS = Family(
    "counter",
    "Requests that got an endpoint.",
    gie=Exposed("inference_objective_request_total", (*_MODELS, _PRIORITY)),
    llm_d=Exposed("llm_d_epp_request_total", _FLOW),
)
ERRORS = Family(
    "counter",
    "Requests that ended in an error: refused here (code of the refusal), or answered with a status of 400 or more by "
    "the model server (ModelServerError).",
    gie=Exposed("inference_objective_request_error_total", (*_MODELS, ("error_code", 4))),
    llm_d=Exposed("llm_d_epp_request_error_total", (*_FLOW, ("error_code", 4))),
)
DURATION = Family(
    "histogram",
    "Seconds from the request headers to the end of the response, for requests that got a response.",
    gie=Exposed("inference_objective_request_duration_seconds", _MODELS),
    llm_d=Exposed("llm_d_epp_request_duration_seconds", _FLOW),
    buckets=LATENCY_S,
)
REQUEST_BYTES = Family(
    "histogram",
    "Bytes of the request body.",
    gie=Exposed("inference_objective_request_sizes", _MODELS),
    llm_d=Exposed("llm_d_epp_request_size_bytes", _FLOW),
    buckets=REQUEST_SIZES,
)
RESPONSE_BYTES = Family(
    "histogram",
    "Bytes of the response body, where the gateway shows it.",
    gie=Exposed("inference_objective_response_sizes", _MODELS),
    llm_d=Exposed("llm_d_epp_response_size_bytes", _FLOW),
    buckets=RESPONSE_SIZES,
)
INPUT_TOKENS = Family(
    "histogram",
    "Prompt tokens as the model server counted them.",
    gie=Exposed("inference_objective_input_tokens", _MODELS),
    llm_d=Exposed("llm_d_epp_request_input_tokens", _FLOW),
    buckets=PROMPT_TOKENS_BUCKETS,
)
OUTPUT_TOKENS = Family(
    "histogram",
    "Generated tokens as the model server counted them.",
    gie=Exposed("inference_objective_output_tokens", _MODELS),
    llm_d=Exposed("llm_d_epp_request_output_tokens", _FLOW),
    buckets=OUTPUT_TOKENS_BUCKETS,
)
CACHED_TOKENS = Family(
    "histogram",
    "Prompt tokens that the model server found in its prefix cache.",
    gie=Exposed("inference_objective_prompt_cached_tokens", _MODELS),
    llm_d=Exposed("llm_d_epp_request_cached_tokens", _FLOW),
    buckets=PROMPT_TOKENS_BUCKETS,
)
RUNNING = Family(
    "gauge",
    "Requests that got an endpoint and are not over.",
    gie=Exposed("inference_objective_running_requests", (_MODEL,)),
    llm_d=Exposed("llm_d_epp_request_running", _FLOW),
)
PER_TOKEN = Family(
    "histogram",
    "Seconds of the request divided by its generated tokens.",
    gie=Exposed("inference_objective_normalized_time_per_output_token_seconds", _MODELS),
    llm_d=Exposed("llm_d_epp_request_ntpot_seconds", _FLOW),
    buckets=PER_TOKEN_S,
)
FIRST_TOKEN = Family(
    "histogram",
    "Seconds from the request headers to the first bytes of the answer, where the gateway shows them.",
    gie=Exposed("inference_objective_request_ttft_seconds", _MODELS),
    llm_d=Exposed("llm_d_epp_request_ttft_seconds", (*_FLOW, ("streaming", 4))),
    buckets=LATENCY_S,
)

_POOL = (("name", 0),)
AVERAGE_KV_CACHE = Family(
    "gauge",
    "Mean KV cache utilization, 0..1, over the endpoints with fresh metrics.",
    gie=Exposed("inference_pool_average_kv_cache_utilization", _POOL),
    llm_d=Exposed("llm_d_epp_average_kv_cache_utilization", _POOL),
)
AVERAGE_QUEUE = Family(
    "gauge",
    "Mean number of waiting requests over the endpoints with fresh metrics.",
    gie=Exposed("inference_pool_average_queue_size", _POOL),
    llm_d=Exposed("llm_d_epp_average_queue_size", _POOL),
)
AVERAGE_RUNNING = Family(
    "gauge",
    "Mean number of running requests over the endpoints with fresh metrics.",
    gie=Exposed("inference_pool_average_running_requests", _POOL),
    llm_d=Exposed("llm_d_epp_average_running_requests", _POOL),
)
READY_ENDPOINTS = Family(
    "gauge",
    "Ready endpoints of the pool; a pod with several target ports counts once per port.",
    gie=Exposed("inference_pool_ready_pods", _POOL),
    llm_d=Exposed("llm_d_epp_ready_endpoints", _POOL),
)
ENDPOINT_QUEUE = Family(
    "gauge",
    "Waiting requests of an endpoint with fresh metrics.",
    gie=Exposed("inference_pool_per_pod_queue_size", (*_POOL, ("model_server_pod", 1))),
    llm_d=Exposed("llm_d_epp_per_endpoint_queue_size", (*_POOL, ("model_server_endpoint", 1))),
)

# An attempt's key is (status, target model, pod, namespace, port).
_PLACE = (("namespace", 3), ("port", 4))
SCHEDULING = Family(
    "histogram",
    "Seconds that finding the endpoint took.",
    gie=Exposed("inference_extension_scheduler_e2e_duration_seconds"),
    llm_d=Exposed("llm_d_epp_scheduler_e2e_duration_seconds"),
    buckets=SCHEDULER_S,
)
ATTEMPTS = Family(
    "counter",
    "Scheduling attempts; a failure found no endpoint and has no pod.",
    gie=Exposed(
        "inference_extension_scheduler_attempts_total",
        (("status", 0), ("target_model_name", 1), ("pod_name", 2), *_PLACE),
    ),
    llm_d=Exposed(
        "llm_d_epp_scheduler_attempts_total",
        (("status", 0), ("target_model_name", 1), ("endpoint_name", 2), *_PLACE),
    ),
)
_REWRITE = (("model_rewrite_name", 0), ("model_name", 1), ("target_model", 2))
MODEL_REWRITES = Family(
    "counter",
    "Requests that got an endpoint and whose target model an InferenceModelRewrite gave.",
    gie=Exposed("inference_extension_model_rewrite_decisions_total", _REWRITE),
    llm_d=Exposed("llm_d_epp_model_rewrite_decisions_total", _REWRITE),
)
INFO = Family(
    "gauge",
    "Always 1; the labels say which build this is.",
    gie=Exposed("inference_extension_info", (("commit", 0), ("build_ref", 1))),
    llm_d=Exposed("llm_d_epp_info", (("commit", 0), ("build_ref", 1))),
)

_ENDPOINT = (("endpoint", 0),)
REQUESTS_READ = Family(
    "counter",
    "Requests that were read and handed to routing, whatever became of them.",
    own=Exposed("epp_requests_read_total"),
)
SERVED_NOT_PICKED = Family(
    "counter",
    "Requests that another server answered than the one picked first: retries to a fallback, or a gateway that does "
    "not follow the picker.",
    own=Exposed("epp_served_not_picked_total"),
)
DISAGGREGATION = Family(
    "counter",
    "Requests that a policy with stages routed, by the stages that run. failed_stage: one that was wanted and found "
    "no endpoint, so that the request goes on without it.",
    llm_d=Exposed("llm_d_epp_disagg_decision_total", (("decision", 0),)),
    own=Exposed("epp_disagg_decisions_total", (("decision", 0), ("failed_stage", 1))),
)
BYPASSED = Family(
    "counter",
    "Responses from an endpoint to which the picker sent no such request.",
    own=Exposed("epp_bypassed_responses_total"),
)
RESERVATIONS = Family(
    "gauge",
    "Places in the in-flight books that are not released.",
    own=Exposed("epp_reservations_open"),
)
IN_FLIGHT = Family(
    "gauge",
    "Unfinished requests of ours at an endpoint.",
    own=Exposed("epp_in_flight_requests", _ENDPOINT),
)
LOAD_GAP = Family(
    "gauge",
    "Running and waiting requests that a fresh endpoint reports, minus those in our books. Lasting and positive: "
    "traffic that does not pass this picker. Lasting and negative: the books drift.",
    own=Exposed("epp_load_gap_requests", _ENDPOINT),
)
STALE_ENDPOINTS = Family(
    "gauge",
    "Endpoints whose metrics are older than the staleness limit.",
    own=Exposed("epp_stale_endpoints"),
)
COOLING_ENDPOINTS = Family(
    "gauge",
    "Endpoints left alone for a while because they could not be reached.",
    own=Exposed("epp_cooling_endpoints"),
)
PREFIX_BLOCKS = Family(
    "gauge",
    "Blocks in the approximate prefix index, over all endpoints.",
    own=Exposed("epp_prefix_index_blocks"),
)
STREAMS = Family("gauge", "Open ext_proc streams.", own=Exposed("epp_streams_open"))
BUFFERED_BYTES = Family("gauge", "Bytes of request bodies held in memory.", own=Exposed("epp_buffered_bytes"))
OBJECT_PROBLEMS = Family(
    "gauge",
    "Objects or files that cannot be used; the last good state stays in force.",
    own=Exposed("epp_object_problems"),
)
OBJECTS_STALE = Family(
    "gauge",
    "Seconds for which the API server could not be asked, so that objects are as they were read last; 0 if it can.",
    own=Exposed("epp_objects_stale_seconds"),
)
SCRAPE_FAILURES = Family(
    "counter",
    "Metrics pages that could not be read, by kind of failure.",
    own=Exposed("epp_scrape_failures_total", (("kind", 0),)),
)
CONNECTIONS_ENDED = Family(
    "counter",
    "Connections to the gRPC ports that the native transport ended because of their peer: `silent`, `unread`, "
    "`too_many`, or an error code of HTTP/2; ENHANCE_YOUR_CALM stands for limits.",
    own=Exposed("epp_connections_ended_total", (("reason", 0),)),
)
