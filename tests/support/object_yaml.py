"""Objects as YAML text for tests, with just enough in them."""

POOL_GROUP = "inference.networking.k8s.io"


def pool_yaml(
    name: str = "pool",
    *,
    app: str = "vllm",
    ports: tuple[int, ...] = (8000,),
    namespace: str = "",
    app_protocol: str = "",
) -> str:
    """An InferencePool v1 that selects `app`."""
    listed = ", ".join(f"{{number: {port}}}" for port in ports)
    protocol = f"  appProtocol: {app_protocol}\n" if app_protocol else ""
    return f"""\
apiVersion: {POOL_GROUP}/v1
kind: InferencePool
metadata: {{name: {name}{f", namespace: {namespace}" if namespace else ""}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  targetPorts: [{listed}]
  endpointPickerRef: {{name: epp, port: {{number: 9002}}}}
{protocol}"""


def pod_yaml(
    name: str,
    ip: str,
    *,
    app: str = "vllm",
    ready: str = "True",
    namespace: str = "",
    uid: str = "",
    restarts: int = 0,
    active_ports: str | None = None,
    leaving: bool = False,
) -> str:
    """A Pod with a status."""
    lines = ["apiVersion: v1", "kind: Pod", "metadata:", f"  name: {name}", f"  labels: {{app: {app}}}"]
    if namespace:
        lines.append(f"  namespace: {namespace}")
    if uid:
        lines.append(f"  uid: {uid}")
    if leaving:
        lines.append("  deletionTimestamp: 2026-01-01T00:00:00Z")
    if active_ports is not None:
        lines.append(f'  annotations: {{{POOL_GROUP}/active-ports: "{active_ports}"}}')
    lines += [
        "status:",
        f'  podIP: "{ip}"',
        f'  conditions: [{{type: PodScheduled, status: "True"}}, {{type: Ready, status: "{ready}"}}]',
        f"  containerStatuses: [{{name: vllm, restartCount: {restarts}}}]",
    ]
    return "\n".join(lines) + "\n"


def objective_yaml(
    name: str,
    *,
    priority: int | None = None,
    pool: str = "pool",
    group: str | None = POOL_GROUP,
    namespace: str = "",
    api_version: str = "inference.networking.x-k8s.io/v1alpha2",
) -> str:
    """An InferenceObjective."""
    lines = [f"apiVersion: {api_version}", "kind: InferenceObjective", "metadata:", f"  name: {name}"]
    if namespace:
        lines.append(f"  namespace: {namespace}")
    lines += ["spec:", f"  poolRef: {{name: {pool}{f', group: {group}' if group is not None else ''}}}"]
    if priority is not None:
        lines.append(f"  priority: {priority}")
    return "\n".join(lines) + "\n"


def documents(*texts: str) -> str:
    """Several documents in one file."""
    return "---\n".join(texts)


def rewrite_yaml(
    name: str,
    *rules: str,
    created: str = "",
    pool: str = "pool",
    namespace: str = "",
    api_version: str = "inference.networking.x-k8s.io/v1alpha2",
) -> str:
    """An InferenceModelRewrite; rules are those of `rule_yaml`."""
    lines = [f"apiVersion: {api_version}", "kind: InferenceModelRewrite", "metadata:", f"  name: {name}"]
    if namespace:
        lines.append(f"  namespace: {namespace}")
    if created:
        lines.append(f"  creationTimestamp: {created}")
    lines += ["spec:", f"  poolRef: {{name: {pool}}}", "  rules:" if rules else "  rules: []"]
    return "\n".join([*lines, *(f"  - {rule}" for rule in rules)]) + "\n"


def rule_yaml(*models: str, to: str | dict[str, int]) -> str:
    """A rule of a rewrite for these models, or a generic one; `to` is a target, or weights by target."""
    weights = {to: None} if isinstance(to, str) else to
    targets = [
        f"{{modelRewrite: {target}{'' if weight is None else f', weight: {weight}'}}}"
        for target, weight in weights.items()
    ]
    matches = [f"{{model: {{type: Exact, value: {model}}}}}" for model in models]
    return f"{{matches: [{', '.join(matches)}], targets: [{', '.join(targets)}]}}"
