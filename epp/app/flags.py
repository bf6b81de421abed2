"""Every flag of `epp serve`: one table, read by the command line and by docs/settings.md.

Names, defaults and spellings (`--x=y`, `--x y`, `-x=y`) follow the reference from v1.0 on, so that its manifests work
unchanged. What is accepted without effect says so when it is given.
"""

from epp.app.flag import Flag, FlagType, Group
from epp.core.config.built_in_policies import DEFAULT_POLICY, POLICIES


def _compatibility(name: str, type_: FlagType, default: str, why: str) -> Flag:
    return Flag(name, type_, default, Group.COMPATIBILITY, why, no_effect=why)


_T = FlagType
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  proxies of other hosts ask this port; the reference listens like that


def _metric(name: str, default: str, what: str) -> Flag:
    place = "deprecated in the reference; its place is engineConfigs of core-metrics-extractor"
    return Flag(name, _T.TEXT, default, Group.METRICS, f"metric of the {what} ({place})")


FLAGS: tuple[Flag, ...] = (
    Flag(
        "objects",
        _T.TEXT,
        "",
        Group.POOL,
        "file or directory of Kubernetes YAML, read again when it changes; in place of a cluster",
    ),
    Flag(
        "pool-name",
        _T.TEXT,
        "",
        Group.POOL,
        "name of the InferencePool; with --objects it may be left out if there is only one",
    ),
    Flag(
        "pool-namespace",
        _T.TEXT,
        "",
        Group.POOL,
        "namespace of the pool; with --objects any, if there is only one pool",
        variable="NAMESPACE",
    ),
    Flag("pool-group", _T.TEXT, "inference.networking.k8s.io", Group.POOL, "API group of the pool"),
    Flag(
        "kubeconfig",
        _T.TEXT,
        "",
        Group.CLUSTER,
        "file with the API server's address and credentials; else $KUBECONFIG, the service account of the pod, "
        "~/.kube/config",
        without_cluster="there is no API server to ask: endpoints come from files",
    ),
    Flag(
        "kube-context",
        _T.TEXT,
        "",
        Group.CLUSTER,
        "context of the kubeconfig, when it is not the current one",
        without_cluster="there is no API server to ask: endpoints come from files",
    ),
    Flag(
        "endpoint-selector",
        _T.TEXT,
        "",
        Group.CLUSTER,
        "label selector of the pods, in place of an InferencePool: app=vllm,tier in (gold, silver); the pool is named "
        "after the picker's own deployment ($POD_NAME), and no other objects are read",
        without_cluster="it selects pods of a cluster; with --objects the InferencePool's selector does that",
    ),
    Flag(
        "endpoint-target-ports",
        _T.PORTS,
        "",
        Group.CLUSTER,
        "with --endpoint-selector: 1 to 8 ports on which each pod serves",
        without_cluster="it belongs to --endpoint-selector; with --objects the InferencePool has targetPorts",
    ),
    Flag(
        "ha-enable-leader-election",
        _T.BOOL,
        "false",
        Group.CLUSTER,
        "of several replicas one is ready, the one that holds the Lease; the others keep their picture up to date",
        without_cluster="it takes a Lease from the API server, and there is none; run one picker",
    ),
    Flag(
        "metrics-endpoint-auth",
        _T.BOOL,
        "true",
        Group.CLUSTER,
        "ask the API server (TokenReview, SubjectAccessReview) who may read the metrics and debug pages",
        without_cluster="it asks the API server (TokenReview), and there is none; use --metrics-token-file",
    ),
    Flag(
        "envoy-eds",
        _T.TEXT,
        "",
        Group.POOL,
        "write the pool's endpoints for Envoy (EDS) to this file; an endpoint is picked only a moment after its write",
    ),
    Flag("disable-endpoint-subset-filter", _T.BOOL, "false", Group.POOL, "ignore Envoy's subset hint"),
    Flag(
        "config-file",
        _T.TEXT,
        "",
        Group.CONFIGURATION,
        "EndpointPickerConfig file; without one the policy of --policy applies",
    ),
    Flag("config-text", _T.TEXT, "", Group.CONFIGURATION, "EndpointPickerConfig as text; excludes --config-file"),
    Flag(
        "allow-experimental-plugins",
        _T.BOOL,
        "true",
        Group.CONFIGURATION,
        "take configurations that use experimental plugins, with a notice; with false they are refused",
    ),
    Flag(
        "policy",
        _T.CHOICE,
        DEFAULT_POLICY,
        Group.CONFIGURATION,
        "built-in policy, in place of a configuration: expected-cost sends a request where it costs everybody the "
        "fewest seconds; reference is the reference's own default (queue 2, KV cache 2, prefix cache 3)",
        tuple(POLICIES),
    ),
    Flag(
        "session-key-file",
        _T.TEXT,
        "",
        Group.CONFIGURATION,
        "key of session tokens (at most 64 bytes), the same for all replicas; without it made from the uid of the pool",
    ),
    Flag("max-body-bytes", _T.QUANTITY, "32Mi", Group.REQUESTS, "largest request body; above it 413"),
    Flag(
        "max-buffered-bytes",
        _T.QUANTITY,
        "256Mi",
        Group.REQUESTS,
        "bound on all request bodies held at once; above it reading stops, then 429",
    ),
    Flag(
        "assume-body-mode",
        _T.CHOICE,
        "full-duplex",
        Group.REQUESTS,
        "body mode of a proxy that does not announce it",
        ("full-duplex", "buffered", "streamed", "none"),
    ),
    Flag(
        "body-priority",
        _T.CHOICE,
        "larger-first",
        Group.REQUESTS,
        "meaning of an integer `priority` in the body; larger-first: larger is more important, the field is cut out; "
        "vllm: lower goes first, forwarded; off: none, forwarded",
        ("larger-first", "vllm", "off"),
    ),
    Flag("body-priority-min", _T.INT, "-100", Group.REQUESTS, "lowest priority that a body may claim"),
    Flag("body-priority-max", _T.INT, "100", Group.REQUESTS, "highest priority that a body may claim"),
    Flag(
        "sample-responses",
        _T.INT,
        "16",
        Group.REQUESTS,
        "look into one of so many response bodies for first-token time and usage, where the proxy allows it, and if "
        "that is not every one (1), into at most 2 a second; 0: never",
    ),
    Flag(
        "emit-endpoint-scores",
        _T.BOOL,
        "false",
        Group.REQUESTS,
        "tell the gateway the score of every candidate: dynamic metadata `envoy.lb`, key "
        "x-gateway-destination-endpoint-scores",
    ),
    Flag("bind-address", _T.ADDRESS, EVERY_ADDRESS, Group.LISTENING, "address of the ext_proc and health ports"),
    Flag("grpc-port", _T.INT, "9002", Group.LISTENING, "ext_proc port; 0 picks a free one"),
    Flag("grpc-health-port", _T.INT, "9003", Group.LISTENING, "gRPC health port, plaintext; 0 picks a free one"),
    Flag("health-checking", _T.BOOL, "false", Group.LISTENING, "serve gRPC health on the ext_proc port too"),
    Flag(
        "secure-serving", _T.BOOL, "true", Group.LISTENING, "TLS on the ext_proc port; self-signed without --cert-path"
    ),
    Flag("cert-path", _T.TEXT, "", Group.LISTENING, "directory with tls.crt and tls.key"),
    Flag("enable-cert-reload", _T.BOOL, "true", Group.LISTENING, "follow changes of the certificate files"),
    Flag(
        "tls-min-version",
        _T.CHOICE,
        "VersionTLS12",
        Group.LISTENING,
        "oldest TLS version, of the ext_proc and the metrics port",
        ("VersionTLS12", "VersionTLS13"),
    ),
    Flag(
        "tls-cipher-suites",
        _T.TEXT,
        "",
        Group.LISTENING,
        "ciphers of TLS 1.2, with commas, as Go names them: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; without it the "
        "strong ones. Those of TLS 1.3 are fixed",
    ),
    Flag(
        "refresh-metrics-interval", _T.DURATION, "50ms", Group.METRICS, "shortest time between two scrapes of one pod"
    ),
    Flag(
        "metrics-staleness-threshold",
        _T.DURATION,
        "2s",
        Group.METRICS,
        "a pod not scraped for longer is judged by our own books",
    ),
    Flag(
        "scrape-cpu-budget",
        _T.TEXT,
        "0.1",
        Group.METRICS,
        "share of one core that scraping may use before it slows down",
    ),
    Flag("model-server-metrics-port", _T.INT, "0", Group.METRICS, "port of the pods' metrics page; 0: the target port"),
    Flag("model-server-metrics-path", _T.TEXT, "/metrics", Group.METRICS, "path of the pods' metrics page"),
    Flag(
        "model-server-metrics-scheme",
        _T.CHOICE,
        "http",
        Group.METRICS,
        "scheme of the pods' metrics page",
        ("http", "https"),
    ),
    Flag(
        "model-server-metrics-https-insecure-skip-verify",
        _T.BOOL,
        "true",
        Group.METRICS,
        "do not verify the pods' certificates",
    ),
    _metric("total-queued-requests-metric", "vllm:num_requests_waiting", "queue"),
    _metric("total-running-requests-metric", "vllm:num_requests_running", "batch"),
    _metric("kv-cache-usage-percentage-metric", "vllm:kv_cache_usage_perc", "KV cache"),
    _metric("lora-info-metric", "vllm:lora_requests_info", "adapters"),
    _metric("cache-info-metric", "vllm:cache_config_info", "block size"),
    Flag(
        "metrics-port",
        _T.INT,
        "9090",
        Group.SIGNALS,
        "HTTP port of /metrics, health and debug pages; 0 picks a free one",
    ),
    Flag(
        "metrics-bind-address",
        _T.ADDRESS,
        "",
        Group.SIGNALS,
        "address of that port; without it 127.0.0.1, in a cluster every address. Other than loopback needs "
        "--metrics-token-file, or in a cluster --metrics-endpoint-auth",
    ),
    Flag(
        "metrics-token-file", _T.TEXT, "", Group.SIGNALS, "file with the bearer token that /metrics and /debug ask for"
    ),
    Flag(
        "metrics-cert-dir",
        _T.TEXT,
        "",
        Group.SIGNALS,
        "directory with tls.crt and tls.key: the metrics port speaks HTTPS; changed files are taken over",
    ),
    Flag(
        "metrics-client-ca-file",
        _T.TEXT,
        "",
        Group.SIGNALS,
        "with --metrics-cert-dir: CA whose client certificates the metrics port asks for",
    ),
    Flag(
        "metric-names",
        _T.CHOICE,
        "gie",
        Group.SIGNALS,
        "metric names: inference_*, llm_d_epp_*, or both",
        ("gie", "llm-d", "both"),
    ),
    Flag(
        "v",
        _T.INT,
        "2",
        Group.SIGNALS,
        "log level: 0-2 start, stop and trouble; 3 more; 4 each request; 5 everything",
        short="v",
    ),
    Flag(
        "log-format",
        _T.CHOICE,
        "auto",
        Group.SIGNALS,
        "JSON, or lines for people when stderr is a terminal",
        ("auto", "json", "console"),
    ),
    Flag(
        "drain-timeout", _T.DURATION, "30s", Group.PROCESS, "after SIGTERM: not ready, but still serving for this long"
    ),
    Flag(
        "workers",
        _T.INT,
        "0",
        Group.PROCESS,
        "picker processes, which answer requests beside a control process that does everything else; 0: everything "
        "in one process. See docs/workers.md",
    ),
    Flag(
        "worker-ports",
        _T.BOOL,
        "false",
        Group.PROCESS,
        "a port for each picker process: --grpc-port and those after it, for a proxy that spreads its streams; without "
        "it the connections to --grpc-port are spread",
    ),
    Flag(
        "transport",
        _T.CHOICE,
        "native",
        Group.PROCESS,
        "server of the ext_proc port: the picker's own HTTP/2, or the gRPC library, which takes several times the CPU",
        ("native", "grpcio"),
        variable="EPP_TRANSPORT",
    ),
    Flag(
        "ready-file",
        _T.TEXT,
        "",
        Group.PROCESS,
        "file to which the bound ports are written as JSON once the picker serves",
    ),
    _compatibility("zap-encoder", _T.TEXT, "", "use --log-format"),
    _compatibility("zap-log-level", _T.TEXT, "", "use -v"),
    _compatibility("zap-devel", _T.BOOL, "false", "use --log-format"),
    _compatibility("zap-stacktrace-level", _T.TEXT, "", "stack traces come with unexpected errors only"),
    _compatibility("zap-time-encoding", _T.TEXT, "", "times are ISO 8601 in UTC"),
    _compatibility(
        "refresh-prometheus-metrics-interval", _T.DURATION, "5s", "pool gauges are computed when /metrics is read"
    ),
    _compatibility("enable-pprof", _T.BOOL, "true", "there is no Go profiler in this process"),
    _compatibility("tracing", _T.BOOL, "false", "traces are not exported by this version"),
    _compatibility(
        "enable-grpc-stream-metrics", _T.BOOL, "false", "open streams are always counted (epp_streams_open)"
    ),
    _compatibility("grpc-max-recv-msg-size", _T.QUANTITY, "", "message sizes follow --max-body-bytes"),
    _compatibility("grpc-max-send-msg-size", _T.QUANTITY, "", "message sizes follow --max-body-bytes"),
)
