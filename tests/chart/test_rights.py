"""The rights of the picker's account, and of those who read its metrics: these and no others."""

from collections import defaultdict

import pytest

from epp.app.cluster import LEASE_SUFFIX
from tests.support.helm_chart import RELEASE, Object, Rendering, with_values

READING = frozenset(("get", "list", "watch"))
X, POOLS = "inference.networking.x-k8s.io", "inference.networking.k8s.io"
ALWAYS = {
    ("inference", "", "pods"): READING,
    ("inference", "events.k8s.io", "events"): {"create"},
    ("inference", POOLS, "inferencepools"): READING,
    **{
        ("inference", group, kind): READING
        for group in (X, "llm-d.ai")
        for kind in ("inferenceobjectives", "inferencemodelrewrites")
    },
}
GUARDED = {
    ("everywhere", "authentication.k8s.io", "tokenreviews"): {"create"},
    ("everywhere", "authorization.k8s.io", "subjectaccessreviews"): {"create"},
}
LEASE = f"leases/epp-inference-{RELEASE}.{LEASE_SUFFIX}"
ELECTING = {
    ("inference", "coordination.k8s.io", "leases"): {"create"},
    ("inference", "coordination.k8s.io", LEASE): {"get", "update"},
}
OPEN = "inferenceExtension.monitoring.prometheus.auth.enabled=false"

Rights = dict[tuple[str, str, str], set[str]]
"""verbs by namespace (or everywhere), group and resource or path"""


def rights_of(account: str, rendering: Rendering) -> Rights:
    rights: Rights = defaultdict(set)
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in rendering.of_kind(kind):
            if account in [subject["name"] for subject in binding["subjects"]]:
                role = rendering.named(binding["roleRef"]["kind"], binding["roleRef"]["name"])
                place = role["metadata"].get("namespace", "everywhere")
                for rule in role["rules"]:
                    add(rule, place, rights)
    return dict(rights)


def add(rule: Object, place: str, rights: Rights) -> None:
    assert "*" not in [*rule["verbs"], *rule.get("apiGroups", ()), *rule.get("resources", ())]
    for path in rule.get("nonResourceURLs", ()):
        rights[place, "", path] |= set(rule["verbs"])
    for group in rule.get("apiGroups", ()):
        for resource in rule["resources"]:
            names = rule.get("resourceNames", [""])
            for name in names:
                rights[place, group, f"{resource}/{name}".rstrip("/")] |= set(rule["verbs"])


@pytest.mark.parametrize(
    ("settings", "rights"),
    [
        ((), ALWAYS | GUARDED),
        ((OPEN,), ALWAYS),
        (("inferenceExtension.replicas=2",), ALWAYS | GUARDED | ELECTING),
        (("inferenceExtension.enableLeaderElection=true", OPEN), ALWAYS | ELECTING),
        (("inferenceExtension.flags.ha-enable-leader-election=true", OPEN), ALWAYS | ELECTING),
        (
            ("inferenceExtension.replicas=2", "inferenceExtension.flags.ha-enable-leader-election=false", OPEN),
            ALWAYS,
        ),
    ],
    ids=["guarded", "open", "replicas", "electing", "electing-by-flag", "active-active"],
)
def test_the_picker(settings: tuple[str, ...], rights: Rights) -> None:
    assert rights_of("pool-epp", with_values(*settings)) == rights


def test_the_picker_of_an_older_pool_reads_that_group() -> None:
    rights = rights_of("pool-epp", with_values(f"inferencePool.apiVersion={X}/v1alpha2"))
    assert ("inference", X, "inferencepools") in rights
    assert ("inference", POOLS, "inferencepools") not in rights


def test_the_reader_of_metrics_reads_that_page_only() -> None:
    rendering = with_values("inferenceExtension.monitoring.prometheus.enabled=true")
    assert rights_of("pool-metrics-reader-sa", rendering) == {("everywhere", "", "/metrics"): {"get"}}
    token = rendering.one("Secret")
    assert token["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "pool-metrics-reader-sa"}


def test_the_collector_of_gke_reads_that_token_only() -> None:
    rendering = with_values("provider.name=gke", "inferenceExtension.monitoring.gke.enabled=true")
    token = ("inference", "", "secrets/pool-metrics-reader-secret")
    assert rights_of("collector", rendering) == {token: READING}
