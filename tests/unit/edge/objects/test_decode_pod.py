"""Pods: ready or not, addresses, ports in use, incarnations."""

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.yaml import load_documents
from epp.edge.objects.decode import decode
from epp.edge.objects.decode_pod import PodObject
from tests.support.object_yaml import pod_yaml


def pod(text: str) -> PodObject:
    (document,) = load_documents(text, "pod.yaml")
    (found,) = decode(document, "default").objects
    assert isinstance(found, PodObject)
    return found


def mistake(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        pod(text)
    return str(caught.value)


def test_reads_a_pod() -> None:
    found = pod(pod_yaml("a", "10.0.0.1", uid="u-1", restarts=2, namespace="team"))
    assert (found.namespace, found.name, found.labels) == ("team", "a", {"app": "vllm"})
    assert (found.address, found.is_ready, found.incarnation) == ("10.0.0.1", True, "u-1/2")
    assert (found.active_ports, found.origin.line) == (None, 1)


@pytest.mark.parametrize(
    "text",
    [
        pod_yaml("a", "10.0.0.1", ready="False"),
        pod_yaml("a", "10.0.0.1", ready="Unknown"),
        pod_yaml("a", "10.0.0.1", leaving=True),
        pod_yaml("a", ""),
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.0.0.1}\n",
    ],
)
def test_a_pod_that_is_not_ready(text: str) -> None:
    assert not pod(text).is_ready


def test_the_node_is_known_once_the_pod_is_scheduled() -> None:
    assert pod(pod_yaml("a", "10.0.0.1")).node == ""
    assert pod(pod_yaml("a", "10.0.0.1") + "spec: {nodeName: machine-7, containers: []}\n").node == "machine-7"
    assert pod(pod_yaml("a", "10.0.0.1") + "spec: {nodeName: null}\n").node == ""


def test_nulls_are_unset_fields() -> None:
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, deletionTimestamp: null, labels: null}\nstatus: null\n"
    found = pod(text)
    assert (found.labels, found.has_status) == ({}, False)
    assert pod(pod_yaml("a", "10.0.0.1").replace("labels: {app: vllm}", "deletionTimestamp: null")).is_ready


def test_the_primary_address_counts_and_the_first_of_several_without_one() -> None:
    both = pod_yaml("a", "10.0.0.1").replace("status:\n", 'status:\n  podIPs: [{ip: "fd00::2"}, {ip: 10.0.0.9}]\n')
    assert pod(both).address == "10.0.0.1"
    assert pod(both.replace('  podIP: "10.0.0.1"\n', "")).address == "fd00::2"


def test_addresses_take_their_canonical_form() -> None:
    assert pod(pod_yaml("a", "FD00:0:0:0::0001")).address == "fd00::1"


@pytest.mark.parametrize(
    ("ip", "message"),
    [
        ("10.0.0.300", "7: status.podIP: '10.0.0.300' is not an IP address"),
        ("vllm.local", "7: status.podIP: 'vllm.local' is not an IP address"),
        ("fe80::1%eth0", "7: status.podIP: 'fe80::1%eth0' has a scope"),
    ],
)
def test_a_pod_needs_an_address_not_a_name(ip: str, message: str) -> None:
    assert mistake(pod_yaml("a", ip)).startswith(f"pod.yaml:{message}")


def test_ports_in_use() -> None:
    assert pod(pod_yaml("a", "10.0.0.1", active_ports=" 8000, 8001,")).active_ports == frozenset({8000, 8001})
    assert pod(pod_yaml("a", "10.0.0.1", active_ports="")).active_ports == frozenset()
    newer = pod_yaml("a", "10.0.0.1", active_ports="1").replace(
        "annotations: {", 'annotations: {llm-d.ai/active-ports: "2", '
    )
    assert pod(newer).active_ports == frozenset({2})


@pytest.mark.parametrize("ports", ["http", "8000;8001", "0", "70000", "-1", "1e3"])
def test_ports_in_use_must_be_ports(ports: str) -> None:
    message = mistake(pod_yaml("a", "10.0.0.1", active_ports=ports))
    assert message.startswith('pod.yaml:6: metadata.annotations["inference.networking.k8s.io/active-ports"]: ')
    assert "is not a port" in message


def test_restarts_of_all_containers_make_the_incarnation() -> None:
    text = pod_yaml("a", "10.0.0.1", uid="u").replace(
        "restartCount: 0}", "restartCount: 3}, {name: b, restartCount: 4}"
    )
    assert pod(text).incarnation == "u/7"
