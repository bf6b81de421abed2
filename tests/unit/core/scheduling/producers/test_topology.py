"""topology-extractor, topology-affinity-scorer and topology-affinity-filter, as a request with stages sees them."""

import msgspec
import numpy as np
import pytest

from epp.core.domain.decision import ScoreCard
from epp.core.domain.ports import ObjectState
from epp.core.scheduling.cycle import Candidates, Cycle, ProfileResult
from epp.core.scheduling.filters.topology_affinity import TopologyAffinityFilter, TopologyAffinityFilterParameters
from epp.core.scheduling.producers.topology import TopologyExtractor, TopologyExtractorParameters
from epp.core.scheduling.scorers.topology_affinity import TopologyAffinityScorer, TopologyAffinityScorerParameters
from tests.support.small_pool import POOL, SmallPool
from tests.support.staged_pool import StagedPool, disagg

PLACES = ("host", "rack", "zone", "region")
LABELS = TopologyExtractorParameters(*PLACES)
SCORER = TopologyAffinityScorer(TopologyAffinityScorerParameters("places"))


def at(place: str) -> dict[str, str]:
    """Labels such as host h1, rack r1, zone z1, region g1; a dash leaves one out."""
    return {name: value for name, value in zip(PLACES, place.split(), strict=True) if value != "-"}


def judging(pool: SmallPool, peer: int | None, parameters: TopologyExtractorParameters = LABELS) -> Cycle:
    """A cycle in its second profile; the first one picked endpoint `peer`, or nobody."""
    cycle = pool.cycle()
    cycle.products["places"] = TopologyExtractor(parameters).produce(cycle, pool.candidates)
    if peer is not None:
        cycle.results["decode"] = ProfileResult(pool.candidates, [peer], ScoreCard("decode", (), (), np.zeros(0)))
    cycle.profile = "prefill"
    return cycle


@pytest.mark.parametrize(
    ("place", "score"),
    [
        ("h1 r1 z1 g1", 1.0),
        ("h2 r1 z1 g1", 0.2),
        ("h2 r2 z1 g1", 0.05),
        ("h2 r2 z2 g1", 0.02),
        ("h2 r2 z2 g2", 0.0),
        ("h1 r2 z2 g2", 1.0),
        ("- r1 z1 g1", 0.2),
        ("- - - -", 0.0),
    ],
)
def test_the_nearest_shared_place_is_the_score(place: str, score: float) -> None:
    pool = SmallPool(2, labels=[at("h1 r1 z1 g1"), at(place)])
    assert SCORER.score(judging(pool, 0), pool.candidates).tolist() == [1.0, score]


def test_what_is_known_of_neither_is_not_shared() -> None:
    pool = SmallPool(2, labels=[at("- r1 - -"), at("- r2 - -")])
    assert SCORER.score(judging(pool, 0), pool.candidates).tolist() == [0.2, 0.0]


@pytest.mark.parametrize(
    ("level", "kept"), [("host", [0, 1]), ("rack", [0, 1, 2]), ("zone", [0, 1, 2, 3]), ("region", [0, 1, 2, 3, 4])]
)
def test_the_filter_keeps_who_is_near_enough(level: str, kept: list[int]) -> None:
    places = ("h1 r1 z1 g1", "h1 r9 z9 g9", "h2 r1 z1 g1", "h2 r2 z1 g1", "h2 r2 z2 g1", "h2 r2 z2 g2")
    pool = SmallPool(6, labels=[at(place) for place in places])
    parameters = msgspec.convert({"minAffinity": level, "topologyProducerName": "places"}, _FILTER_PARAMETERS)
    left = TopologyAffinityFilter(parameters).filter(judging(pool, 0), pool.candidates)
    assert left.positions.tolist() == kept


_FILTER_PARAMETERS = TopologyAffinityFilterParameters
NEAR = TopologyAffinityFilter(TopologyAffinityFilterParameters("host", "places"))


def test_everybody_stays_when_nobody_is_near_or_nobody_was_picked_before() -> None:
    pool = SmallPool(3, labels=[at("h1 - - -"), at("h2 - - -"), at("h2 - - -")])
    others = pool.candidates.keep([1, 2])
    assert NEAR.filter(judging(pool, 0), others) is others
    assert NEAR.filter(judging(pool, None), others) is others
    assert SCORER.score(judging(pool, None), others).tolist() == [0.0, 0.0]


def test_the_peer_need_not_be_a_candidate() -> None:
    pool = SmallPool(3, labels=[at("h1 - - -"), at("h2 - - -"), at("h1 - - -")])
    assert SCORER.score(judging(pool, 0), Candidates(pool.snapshot).keep([2, 1])).tolist() == [1.0, 0.0]


def test_the_node_of_the_pod_is_its_host_unless_another_label_is_named() -> None:
    pool = SmallPool(3)
    nodes = ("a", "b", "a")
    endpoints = tuple(msgspec.structs.replace(one, node=node) for one, node in zip(pool.endpoints, nodes, strict=True))
    pool.roster.objects_changed(ObjectState(POOL, endpoints))
    usual = judging(pool, 0, TopologyExtractorParameters())
    assert SCORER.score(usual, pool.candidates).tolist() == [1.0, 0.0, 1.0]
    assert SCORER.score(judging(pool, 0), pool.candidates).tolist() == [0.0, 0.0, 0.0]


def test_places_are_read_anew_when_the_pool_changes() -> None:
    pool = SmallPool(2, labels=[at("h1 - - -"), at("h1 - - -")])
    extractor = TopologyExtractor(LABELS)
    cycle = pool.cycle()
    first = extractor.produce(cycle, pool.candidates)
    assert extractor.produce(pool.cycle(), pool.candidates) is first
    pool.roster.objects_changed(ObjectState(POOL, pool.endpoints[:1]))
    assert extractor.produce(pool.cycle(), pool.candidates) is not first


@pytest.mark.parametrize("plugin", ["topology-affinity-scorer", "topology-affinity-filter"])
def test_prefill_is_picked_near_decode(plugin: str) -> None:
    policy = disagg("deciders: {prefill: always}", f"{{type: {plugin}}}").replace(
        "{pluginRef: prefill-filter}, {pluginRef: active-request-scorer}",
        f"{{pluginRef: prefill-filter}}, {{pluginRef: {plugin}}}",
    )
    pool = StagedPool("prefill", "prefill", "decode", "decode", policy=policy)
    nodes = ("a", "b", "a", "b")
    pool.members(*(msgspec.structs.replace(one, node=node) for one, node in zip(pool.endpoints, nodes, strict=True)))
    for _ in range(6):
        decision = pool.decide()
        assert decision.further[0].endpoints[0].node == decision.endpoint.node
