"""Membership: who joins is picked when Envoy has had time to read of it."""

from pathlib import Path

from tests.support.membership_rig import A, B, C, Rig


def test_one_that_joins_is_picked_when_envoy_has_had_time_to_read_of_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    assert rig.take(A, B) == ["Envoy knows ab, pickable a"]
    assert rig.envoy_reads() == ["scraping b, pickable ab", "changed to ab"]


def test_another_change_meanwhile_makes_nobody_wait_longer(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(A, B, C) == ["Envoy knows abc, pickable a"]
    assert rig.envoy_reads() == ["scraping b, pickable ab", "changed to ab"]
    assert rig.envoy_reads() == ["scraping c, pickable abc", "changed to abc"]


def test_one_that_leaves_does_so_at_once_while_another_waits_to_join(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    assert rig.take(B, C) == ["Envoy knows abc, pickable ab", "changed to b"]
    assert rig.envoy_reads() == ["scraping c, pickable bc", "changed to bc"]


def test_nobody_waits_where_all_are_replaced_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(B, C) == [
        "Envoy knows abc, pickable a",
        "scraping b, pickable bc",
        "scraping c, pickable bc",
        "changed to bc",
    ]


def test_the_first_ones_of_an_empty_pool_wait_like_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take()
    assert rig.take(A) == ["Envoy knows a, pickable "]
    assert rig.envoy_reads() == ["scraping a, pickable a", "changed to a"]


def test_one_that_leaves_before_envoy_read_of_it_is_never_picked(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(A) == ["Envoy knows a, pickable a", "changed to a"]
    assert rig.take(A, B) == ["Envoy knows ab, pickable a"]
    assert rig.envoy_reads() == [], "that was for the first time"
    assert rig.pickable == "a"
    rig.envoy_reads()
    assert rig.pickable == "ab"


def test_envoy_reads_while_a_later_change_could_not_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    rig.eds.plan = [False]
    rig.take(A, B, C)
    assert rig.envoy_reads() == [], "the last state is not in the file"
    rig.membership.tidy()
    rig.envoy_reads()
    assert rig.pickable == "abc"
