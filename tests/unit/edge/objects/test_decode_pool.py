"""InferencePool: the CRD's rules, each with the line of its mistake."""

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.domain.pool import InferencePool
from epp.core.yaml import load_documents
from epp.edge.objects.decode import PoolObject, decode

POOL = """\
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata:
  name: vllm-llama3-8b-instruct
  namespace: inference
  creationTimestamp: 2026-01-01T00:00:00Z
spec:
  appProtocol: kubernetes.io/h2c
  selector:
    matchLabels:
      app: vllm-llama3-8b-instruct
      example.com/tier: gold
  targetPorts:
  - number: 8000
  - number: 8001
  endpointPickerRef:
    name: epp
    failureMode: FailOpen
    port:
      number: 9002
status:
  parents: []
"""
ALPHA = """\
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {name: old}
spec:
  selector: {app: vllm}
  targetPortNumber: 8000
  extensionRef: {name: epp, failureMode: FailOpen}
"""


def pool(text: str) -> InferencePool:
    (document,) = load_documents(text, "pool.yaml")
    (found,) = decode(document, "default").objects
    assert isinstance(found, PoolObject)
    return found.pool


def mistake(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        pool(text)
    return str(caught.value)


def test_reads_a_pool() -> None:
    assert pool(POOL) == InferencePool(
        namespace="inference",
        name="vllm-llama3-8b-instruct",
        match_labels={"app": "vllm-llama3-8b-instruct", "example.com/tier": "gold"},
        target_ports=(8000, 8001),
        app_protocol="kubernetes.io/h2c",
        failure_mode="FailOpen",
    )


def test_has_the_defaults_of_the_crd() -> None:
    short = POOL[: POOL.index("  endpointPickerRef")].replace("  appProtocol: kubernetes.io/h2c\n", "")
    found = pool(short.replace("  namespace: inference\n", ""))
    assert (found.namespace, found.app_protocol, found.failure_mode) == ("default", None, "FailClose")


@pytest.mark.parametrize("said", ["http", "kubernetes.io/h2c"])
def test_takes_both_protocols(said: str) -> None:
    assert pool(POOL.replace("kubernetes.io/h2c", said)).app_protocol == said


def test_reads_the_alpha_version() -> None:
    assert pool(ALPHA) == InferencePool(
        namespace="default",
        name="old",
        match_labels={"app": "vllm"},
        target_ports=(8000,),
        failure_mode="FailOpen",
        group="inference.networking.x-k8s.io",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  name: vllm-llama3-8b-instruct\n", "", "3: metadata: name is missing"),
        ("name: vllm-llama3-8b-instruct\n", "name: Vllm_1\n", "4: metadata.name: 'Vllm_1' is not a name"),
        ("namespace: inference", "namespace: a.b", "5: metadata.namespace: 'a.b' is not a namespace"),
        ("kubernetes.io/h2c", "grpc", "8: spec.appProtocol: 'grpc' is not one of http, kubernetes.io/h2c"),
        (
            "    matchLabels:\n      app: vllm-llama3-8b-instruct\n      example.com/tier: gold\n",
            "    matchLabels: {}\n",
            "10: spec.selector.matchLabels: the selector needs at least one label",
        ),
        (
            "app: vllm-llama3-8b-instruct\n  ",
            "app: 1\n  ",
            "11: spec.selector.matchLabels.app: ",
        ),
        (
            "tier: gold",
            "tier: -gold",
            "12: spec.selector.matchLabels[\"example.com/tier\"]: '-gold' is not a label value",
        ),
        ("tier: gold", f"tier: {'g' * 64}", "12: spec.selector.matchLabels"),
        ("example.com/tier", "Example.com/tier", "12: spec.selector.matchLabels"),
        (
            "  targetPorts:\n  - number: 8000\n  - number: 8001\n",
            "  targetPorts: []\n",
            "13: spec.targetPorts: 0 ports",
        ),
        ("  targetPorts:\n  - number: 8000\n  - number: 8001\n", "", "7: spec: "),
        ("8001", "8000", "15: spec.targetPorts[1].number: port 8000 is listed twice"),
        ("8001", "70000", "15: spec.targetPorts[1].number: 70000 is not a port"),
        ("8001", "0", "15: spec.targetPorts[1].number: 0 is not a port"),
        ("8001", "http", "15: spec.targetPorts[1].number: "),
        (
            "FailOpen",
            "failopen",
            "18: spec.endpointPickerRef.failureMode: 'failopen' is not one of FailOpen, FailClose",
        ),
        ("    port:\n      number: 9002\n", "", "16: spec.endpointPickerRef: port is required"),
        ("number: 9002", "number: 90020", "20: spec.endpointPickerRef.port.number: 90020 is not a port"),
        ("    name: epp\n", '    name: ""\n', "17: spec.endpointPickerRef.name: 0 characters"),
        ("networking.k8s.io/v1", "networking.k8s.io/v2", "1: apiVersion: InferencePool has no version"),
    ],
)
def test_every_rule_names_line_and_field(old: str, new: str, message: str) -> None:
    assert old in POOL
    assert mistake(POOL.replace(old, new, 1)).startswith(f"pool.yaml:{message}")


def test_eight_ports_and_64_labels_are_the_most() -> None:
    ports = "".join(f"  - number: {8000 + index}\n" for index in range(9))
    start, end = POOL.index("  - number: 8000"), POOL.index("  endpointPickerRef")
    assert len(pool(POOL[:start] + ports[: ports.index("  - number: 8008")] + POOL[end:]).target_ports) == 8
    assert "9 ports, 1 to 8 are allowed" in mistake(POOL[:start] + ports + POOL[end:])
    labels = "".join(f"      label-{index}: x\n" for index in range(63))
    assert "65 labels, at most 64" in mistake(POOL.replace("  targetPorts", f"{labels}  targetPorts"))


def test_a_picker_of_another_kind_needs_no_port() -> None:
    assert pool(POOL.replace("    port:\n      number: 9002\n", "    kind: Pickers\n")).failure_mode == "FailOpen"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{app: vllm}", "{}", "5: spec.selector: the selector needs"),
        ("8000", "80000", "6: spec.targetPortNumber: 80000 is not a port"),
        ("FailOpen", "Open", "7: spec.extensionRef.failureMode: 'Open' is not one of"),
        ("name: epp,", "name: epp, portNumber: 0,", "7: spec.extensionRef.portNumber: 0 is not a port"),
        (
            "selector: {app: vllm}",
            "selector: {matchLabels: {app: vllm}}",
            "5: spec.selector.matchLabels: ",
        ),
    ],
)
def test_the_rules_of_the_alpha_version(old: str, new: str, message: str) -> None:
    assert mistake(ALPHA.replace(old, new, 1)).startswith(f"pool.yaml:{message}")


@pytest.mark.parametrize("text", [POOL, ALPHA])
def test_a_pool_that_is_being_deleted_is_none(text: str) -> None:
    leaving = text.replace("name: old", "name: old, deletionTimestamp: 2026-01-01T00:00:00Z").replace(
        "  creationTimestamp", "  deletionTimestamp"
    )
    (document,) = load_documents(leaving, "pool.yaml")
    assert decode(document, "default").objects == ()
