"""What objects make of the wanted pool."""

import random

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.objective import InferenceObjective
from epp.core.yaml import load_documents
from epp.edge.objects.decode import decode
from epp.edge.objects.object_store import Assembly, ObjectStore, WantedPool
from tests.support.object_yaml import documents, objective_yaml, pod_yaml, pool_yaml, rewrite_yaml, rule_yaml

ANY = WantedPool()


def put(store: ObjectStore, source: str, *texts: str) -> None:
    objects = [
        found
        for text in texts
        for document in load_documents(text, source)
        for found in decode(document, "default").objects
    ]
    store.put(source, objects)


def assembled(*texts: str, wanted: WantedPool = ANY) -> Assembly:
    store = ObjectStore("objects", wanted)
    put(store, "a.yaml", documents(*texts))
    return store.assemble()


def pool_name(assembly: Assembly) -> str:
    return assembly.state.pool.name if assembly.state.pool else ""


def destinations(assembly: Assembly) -> list[str]:
    return [endpoint.destination for endpoint in assembly.state.endpoints]


def test_endpoints_are_the_ready_pods_of_the_selector() -> None:
    assembly = assembled(
        pool_yaml(),
        pod_yaml("b", "10.0.0.2", uid="u-b", restarts=1),
        pod_yaml("a", "10.0.0.1"),
        pod_yaml("not-ready", "10.0.0.3", ready="False"),
        pod_yaml("leaving", "10.0.0.4", leaving=True),
        pod_yaml("without-address", ""),
        pod_yaml("other-app", "10.0.0.5", app="other"),
        pod_yaml("other-namespace", "10.0.0.6", namespace="other"),
    )
    assert assembly.state.endpoints == (
        Endpoint.create(
            namespace="default",
            pod="a",
            rank=0,
            address="10.0.0.1",
            port=8000,
            labels={"app": "vllm"},
            incarnation="/0",
        ),
        Endpoint.create(
            namespace="default",
            pod="b",
            rank=0,
            address="10.0.0.2",
            port=8000,
            labels={"app": "vllm"},
            incarnation="u-b/1",
        ),
    )
    assert (assembly.problems, assembly.notices) == ((), ())


def test_every_target_port_is_a_rank() -> None:
    assembly = assembled(
        pool_yaml(ports=(8000, 8001, 8002)),
        pod_yaml("a", "10.0.0.1"),
        pod_yaml("b", "fd00::1", active_ports="8002,9999"),
    )
    assert [(endpoint.name, endpoint.destination) for endpoint in assembly.state.endpoints] == [
        ("a-rank-0", "10.0.0.1:8000"),
        ("a-rank-1", "10.0.0.1:8001"),
        ("a-rank-2", "10.0.0.1:8002"),
        ("b-rank-2", "[fd00::1]:8002"),
    ]


def test_without_a_name_the_only_pool_is_the_one() -> None:
    assert pool_name(assembled(pool_yaml("only", namespace="anywhere"))) == "only"


def test_several_pools_without_a_name_are_a_problem() -> None:
    assembly = assembled(pool_yaml("one"), pool_yaml("two"))
    assert assembly.state.pool is None
    (problem,) = assembly.problems
    assert str(problem) == (
        "objects: 2 InferencePools: default/one of group inference.networking.k8s.io (a.yaml:1), "
        "default/two of group inference.networking.k8s.io (a.yaml:9); "
        "choose one with --pool-name, --pool-namespace or --pool-group"
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (WantedPool(name="one"), "one"),
        (WantedPool(name="one", namespace="default", group="inference.networking.k8s.io"), "one"),
        (WantedPool(namespace="team"), "three"),
        (WantedPool(name="two", namespace="team"), ""),
        (WantedPool(name="one", group="inference.networking.x-k8s.io"), ""),
    ],
)
def test_the_flags_choose_the_pool(wanted: WantedPool, found: str) -> None:
    pools = (pool_yaml("one"), pool_yaml("two"), pool_yaml("three", namespace="team"))
    assembly = assembled(*pools, wanted=wanted)
    assert pool_name(assembly) == found
    assert bool(assembly.problems) == (not found)
    if not found:
        assert f"no InferencePool matches {wanted}; there is default/one" in str(assembly.problems[0])


def test_a_second_pool_does_not_take_the_first_one_out_of_service() -> None:
    store = ObjectStore("objects", ANY)
    put(store, "b.yaml", pool_yaml("first"), pod_yaml("a", "10.0.0.1"))
    assert pool_name(store.assemble()) == "first"
    put(store, "a.yaml", pool_yaml("second"))
    ambiguous = store.assemble()
    assert (pool_name(ambiguous), destinations(ambiguous)) == ("first", ["10.0.0.1:8000"])
    assert len(ambiguous.problems) == 1
    store.drop("b.yaml")
    assert pool_name(store.assemble()) == "second"


def test_objects_without_a_pool_are_a_problem_and_nothing_at_all_is_not() -> None:
    assembly = assembled(pod_yaml("a", "10.0.0.1"))
    assert [str(problem) for problem in assembly.problems] == ["objects: has objects, but no InferencePool among them"]
    empty = ObjectStore("objects", ANY).assemble()
    assert empty.problems == ()
    assert "has no objects yet" in str(empty.notices[0])


def test_objectives_belong_to_the_pool_that_they_name() -> None:
    assembly = assembled(
        pool_yaml("pool"),
        pool_yaml("other"),
        objective_yaml("b", priority=-1),
        objective_yaml("a"),
        objective_yaml("of-another-pool", pool="other"),
        objective_yaml("of-another-namespace", namespace="team"),
        objective_yaml("of-another-group", group="inference.networking.x-k8s.io"),
        objective_yaml("of-nothing", pool="missing"),
        wanted=WantedPool(name="pool"),
    )
    assert assembly.state.objectives == (
        InferenceObjective("default", "a", "pool", 0),
        InferenceObjective("default", "b", "pool", -1),
    )
    standard, alpha = "inference.networking.k8s.io", "inference.networking.x-k8s.io"
    missing = [
        (39, "team/of-another-namespace", f"team/pool of group {standard}"),
        (47, "default/of-another-group", f"default/pool of group {alpha}"),
        (54, "default/of-nothing", f"default/missing of group {standard}"),
    ]
    assert [str(notice) for notice in assembly.notices] == [
        f"a.yaml:{line}: InferenceObjective {who} counts for nothing: there is no InferencePool {pool}"
        for line, who, pool in missing
    ]


def test_an_object_that_is_there_twice_counts_where_it_comes_first() -> None:
    store = ObjectStore("objects", ANY)
    put(store, "b.yaml", pod_yaml("a", "10.0.0.2"))
    put(store, "a.yaml", pool_yaml(), pod_yaml("a", "10.0.0.1"), pod_yaml("a", "10.0.0.3"))
    assembly = store.assemble()
    assert destinations(assembly) == ["10.0.0.1:8000"]
    assert [str(problem) for problem in assembly.problems] == [
        "a.yaml:1: Pod default/a is already at a.yaml:1; that one counts",
        "b.yaml:1: Pod default/a is already at a.yaml:1; that one counts",
    ]
    store.drop("a.yaml")
    put(store, "c.yaml", pool_yaml())
    assert destinations(store.assemble()) == ["10.0.0.2:8000"]


def test_pools_of_the_two_groups_are_different_objects() -> None:
    alpha = (
        "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {name: pool}\n"
        "spec: {selector: {app: vllm}, targetPortNumber: 9000}\n"
    )
    texts = (pool_yaml(), alpha, pod_yaml("a", "10.0.0.1"))
    assert destinations(assembled(*texts, wanted=WantedPool(group="inference.networking.x-k8s.io"))) == [
        "10.0.0.1:9000"
    ]
    assert destinations(assembled(*texts, wanted=WantedPool(group="inference.networking.k8s.io"))) == ["10.0.0.1:8000"]


def test_two_pods_on_one_address_are_a_problem_and_the_first_counts() -> None:
    assembly = assembled(pool_yaml(), pod_yaml("b", "10.0.0.1"), pod_yaml("a", "10.0.0.1"))
    assert [endpoint.pod for endpoint in assembly.state.endpoints] == ["a"]
    assert [str(problem) for problem in assembly.problems] == [
        "a.yaml:9: Pod default/b has the address 10.0.0.1:8000 of the pod at a.yaml:19; that one counts"
    ]


def test_pods_may_share_an_address_when_their_ports_differ() -> None:
    assembly = assembled(
        pool_yaml(ports=(8000, 8001)),
        pod_yaml("a", "127.0.0.1", active_ports="8000"),
        pod_yaml("b", "127.0.0.1", active_ports="8001"),
    )
    assert [endpoint.name for endpoint in assembly.state.endpoints] == ["a-rank-0", "b-rank-1"]
    assert assembly.problems == ()


def test_a_pod_written_without_a_status_is_worth_a_notice() -> None:
    assembly = assembled(pool_yaml(), "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: vllm}}\n")
    assert "Pod default/a belongs to the pool but is not picked" in str(assembly.notices[0])


def test_the_order_of_sources_and_objects_makes_no_difference() -> None:
    texts = [pool_yaml(), *(pod_yaml(f"pod-{n}", f"10.0.0.{n}") for n in range(1, 9)), objective_yaml("x")]
    states = []
    for seed in range(5):
        shuffled = random.Random(seed).sample(texts, len(texts))
        store = ObjectStore("objects", ANY)
        for index, text in enumerate(shuffled):
            put(store, f"{index}.yaml", text)
        states.append(store.assemble().state)
    assert all(state == states[0] for state in states)


def test_rewrites_belong_to_the_pool_that_they_name_and_come_oldest_first() -> None:
    assembly = assembled(
        pool_yaml("pool"),
        rewrite_yaml("young", rule_yaml("x", to="y"), created="2026-02-01T00:00:00Z"),
        rewrite_yaml("undated", rule_yaml("u", to="v")),
        rewrite_yaml("old", rule_yaml("z", to="y"), created="2026-01-01T00:00:00Z"),
        rewrite_yaml("of-nothing", rule_yaml("x", to="y"), pool="missing"),
    )
    assert [rewrite.name for rewrite in assembly.state.rewrites] == ["old", "young", "undated"]
    (notice,) = assembly.notices
    assert str(notice) == (
        "a.yaml:38: InferenceModelRewrite default/of-nothing counts for nothing: there is no InferencePool "
        "default/missing of group inference.networking.k8s.io"
    )


def test_rewrites_that_contradict_one_another_are_named_with_their_files_and_the_older_counts() -> None:
    store = ObjectStore("objects", ANY)
    young = rewrite_yaml("young", rule_yaml("x", to="y"), created="2026-02-01T00:00:00Z")
    put(store, "a.yaml", documents(pool_yaml(), young))
    put(store, "b.yaml", rewrite_yaml("old", rule_yaml("x", to="z"), created="2026-01-01T00:00:00Z"))
    assembly = store.assemble()
    (notice,) = assembly.notices
    assert str(notice) == (
        "a.yaml:9: InferenceModelRewrite default/young: default/old at b.yaml:1 rewrites 'x' too; it is older and "
        "counts"
    )
    assert assembly.problems == ()
    store.drop("b.yaml")
    assert store.assemble().notices == ()
