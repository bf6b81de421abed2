"""Where adapters are, and what it costs to bring one to another pod."""

from typing import Any

import numpy as np
import pytest

from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.cost.adapter_books import MOST_NAMES, AdapterBooks
from tests.support.small_pool import SmallPool

LOAD_S = 0.1
ANSWER_S = 4.0


class Adapters:
    """Books over a small pool of two pods with room for two adapters each."""

    def __init__(self, max_adapters: int = 2) -> None:
        self.pool = SmallPool(2)
        self.books = AdapterBooks()
        self.max_adapters = max_adapters
        self.serial = 0
        for number in range(2):
            self.listed(number)
        self.books.note_names(["a", "b", "c", "d"])

    def listed(self, number: int, *running: str, waiting: tuple[str, ...] = ()) -> None:
        """A scrape of pod `number`."""
        signals: dict[str, Any] = {"running_adapters": running, "waiting_adapters": waiting}
        self.pool.report(number, max_adapters=self.max_adapters, **signals)

    def send(self, number: int, model: str) -> int:
        self.serial += 1
        self.books.take(self.pool.slot(number), self.serial, model, self.max_adapters)
        return self.serial

    def costs(self, model: str) -> list[float]:
        cycle = self.pool.cycle(InferenceRequest("r", target_model=model))
        found = self.books.costs_s(cycle, self.pool.candidates, LOAD_S, np.full(2, ANSWER_S))
        return [round(float(cost), 6) for cost in found]


def test_only_a_name_that_an_engine_listed_is_an_adapter() -> None:
    books = AdapterBooks()
    assert not books.is_adapter("a")
    books.note_names(["a"])
    assert books.is_adapter("a")
    books.take(0, 1, "base", 2)
    assert len(books) == 0
    books.give_back(1)


def test_names_are_bounded() -> None:
    books = AdapterBooks()
    books.note_names([f"name-{number}" for number in range(MOST_NAMES)])
    books.note_names(["name-0", "another"])
    assert [books.is_adapter(name) for name in ("name-0", "name-1", "another")] == [True, False, True]


def test_an_adapter_that_we_sent_somewhere_is_there_and_stays() -> None:
    pods = Adapters()
    serial = pods.send(0, "a")
    assert pods.costs("a") == [0.0, LOAD_S]
    pods.books.give_back(serial)
    assert pods.costs("a") == [0.0, LOAD_S], "nobody needed its place"


def test_an_adapter_is_evicted_by_as_many_others_as_fit() -> None:
    pods = Adapters()
    for model in ("a", "b"):
        pods.books.give_back(pods.send(0, model))
    pods.send(0, "a")
    pods.send(0, "c")
    assert pods.costs("b") == [pytest.approx(LOAD_S + ANSWER_S / 2), LOAD_S]
    assert pods.costs("c") == [0.0, LOAD_S]


def test_a_pod_whose_places_are_busy_drains_its_least_used_adapter_first() -> None:
    pods = Adapters()
    for model in ("a", "a", "a", "b", "b"):
        pods.send(0, model)
    assert pods.costs("c")[0] == pytest.approx(LOAD_S + ANSWER_S * 2 / 3)
    pods.send(0, "c")
    assert pods.costs("d")[0] == pytest.approx(LOAD_S + ANSWER_S / 2 * 2), "behind c, which waits for a place"


def test_a_scrape_shows_the_adapters_of_others_while_it_is_fresh() -> None:
    pods = Adapters()
    pods.listed(1, "a", "b", waiting=("c",))
    assert pods.costs("a") == [LOAD_S, 0.0]
    assert pods.costs("d") == [LOAD_S, pytest.approx(LOAD_S + ANSWER_S / 2 * 2)]
    pods.pool.now += 60.0
    assert pods.costs("a") == pods.costs("d") == [LOAD_S, LOAD_S]


def test_where_the_number_of_places_is_not_known_there_is_one_free() -> None:
    pods = Adapters(max_adapters=0)
    pods.send(0, "a")
    assert pods.costs("b") == [LOAD_S, LOAD_S]


def test_a_request_that_is_served_elsewhere_takes_its_adapter_along() -> None:
    pods = Adapters()
    serial = pods.send(0, "a")
    pods.books.move(serial, pods.pool.slot(1), 2.0)
    pods.books.move(99, pods.pool.slot(1), 2.0)
    assert pods.costs("a") == [0.0, 0.0], "it may have begun to load here too"
    pods.books.give_back(serial)
    assert len(pods.books) == 0


def test_a_new_owner_has_no_adapter() -> None:
    pods = Adapters()
    pods.send(0, "a")
    pods.books.forget_slot(pods.pool.slot(0))
    assert pods.costs("a") == [LOAD_S, LOAD_S]
