"""Records: values of a request's path, compiled or not."""

import pytest

from epp.core.domain.decision import Reservation
from epp.core.domain.record import attributes, replaced
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.commands import CancelRouting, FollowServed, NoteBypass

PLACE = Reservation(3, 1, 7, tokens=12)


def test_equal_by_kind_and_attributes() -> None:
    assert Reservation(3, 1, 7, tokens=12) == PLACE
    assert Reservation(3, 1, 8, tokens=12) != PLACE
    assert FollowServed("a") != NoteBypass("a")
    assert CancelRouting() == CancelRouting()
    assert PLACE != (3, 1, 7, 12, False)


def test_attributes_come_in_the_order_of_the_parameters() -> None:
    assert attributes(PLACE) == {"slot": 3, "generation": 1, "serial": 7, "tokens": 12, "is_further": False}
    assert list(attributes(PLACE)) == ["slot", "generation", "serial", "tokens", "is_further"]
    assert attributes(CancelRouting()) == {}


def test_shown_as_it_is_made() -> None:
    assert repr(PLACE) == "Reservation(slot=3, generation=1, serial=7, tokens=12, is_further=False)"


def test_replaced() -> None:
    assert replaced(PLACE, slot=4) == Reservation(4, 1, 7, tokens=12)
    assert PLACE.slot == 3
    with pytest.raises(TypeError):
        replaced(PLACE, slots=4)


def test_equal_ones_have_one_hash() -> None:
    assert len({PLACE, Reservation(3, 1, 7, tokens=12), FollowServed("a"), FollowServed("a")}) == 2


def test_what_a_request_keeps_while_its_answer_lasts() -> None:
    """Every attribute but those that take memory; one that is added later must not be forgotten."""
    kinds = {"prompt", "prompt_tokens", "multimodal", "headers"}
    request = InferenceRequest(
        "id",
        path="/p",
        method="PUT",
        headers={"a": "b"},
        model="m",
        target_model="t",
        model_rewrite="r",
        prompt_tokens=b"1234",
        streaming=True,
        max_tokens=5,
        cache_salt="s",
        claimed_priority=1,
        priority=2,
        fairness_id="f",
        body_bytes=9,
        subset=("x",),
    )
    kept = attributes(request.without_prompt())
    assert {name for name, value in attributes(request).items() if kept[name] != value} <= kinds
    assert not any(kept[name] for name in ("prompt_tokens", "multimodal", "headers"))
