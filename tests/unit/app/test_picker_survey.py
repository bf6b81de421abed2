"""Asking pickers: who does not answer in time is counted, who says nothing at all is found."""

import asyncio

import msgspec

from epp.app.picker_handle import PickerHandle
from epp.app.picker_survey import SILENT_AFTER_S, PickerSurvey
from epp.core.domain.request import InferenceRequest
from epp.edge.observe.sink import PrometheusSink
from epp.edge.observe.told_counts import ToldCounts, written_counts
from epp.edge.peers.messages import AskDecisions, Decisions, Message, Told
from tests.support.routed_requests import decision


class FakePicker(PickerHandle):
    """Answers at once, or never."""

    def __init__(self, number: int, *, answers: bool = True) -> None:
        super().__init__(number, lambda _picker, _message: None, lambda: 100.0)
        self.is_serving = True
        self._will_answer = answers
        self.told = Told(0, b"", 1 + number, 10, 5 + number, 0, 0, 0.5, 1000)

    def send(self, message: Message) -> None:
        if self._will_answer and isinstance(message, AskDecisions):
            rows = [{"when": f"2026-01-01T00:00:0{second}.{self.number}", "id": second} for second in (9, 5, 1)]
            asyncio.get_running_loop().call_soon(
                self._take, Decisions(message.number, msgspec.json.encode(rows[: message.limit]))
            )


async def test_decisions_of_all_are_put_together_by_time() -> None:
    survey = PickerSurvey(lambda: [FakePicker(0), FakePicker(1)], ToldCounts(PrometheusSink()))
    work = await survey.decisions(limit=3, request_id="", model="")
    rows = msgspec.convert(work(), list[dict[str, object]])
    assert [(row["id"], row["picker"]) for row in rows] == [(9, 1), (9, 0), (5, 1)]
    assert survey.silences == 0


async def test_who_does_not_answer_is_left_out_and_counted() -> None:
    survey = PickerSurvey(lambda: [FakePicker(0), FakePicker(1, answers=False)], ToldCounts(PrometheusSink()))
    work = await survey.decisions(limit=5, request_id="", model="")
    rows = msgspec.convert(work(), list[dict[str, object]])
    assert {row["picker"] for row in rows} == {0}
    assert survey.silences == 1


def test_states_are_added_up_and_indexes_are_alike() -> None:
    counts = ToldCounts(PrometheusSink())
    pickers = [FakePicker(0), FakePicker(1), FakePicker(2)]
    pickers[2].is_serving = False
    survey = PickerSurvey(lambda: pickers, counts)
    assert (survey.state.streams_open, survey.state.buffered_bytes, survey.state.index_blocks) == (3, 20, 6)
    sink = PrometheusSink()
    sink.request_routed(decision(InferenceRequest(request_id="")))
    counts.told(1, written_counts(sink.totals(), ()))
    assert [(one.picker, one.requests, one.streams_open) for one in survey.numbers] == [(0, 0, 1), (1, 1, 2), (2, 0, 3)]


def test_a_picker_that_says_nothing_is_found() -> None:
    pickers = [FakePicker(0), FakePicker(1)]
    survey = PickerSurvey(lambda: pickers, ToldCounts(PrometheusSink()))
    assert survey.silent(100.0 + SILENT_AFTER_S) == []
    pickers[1].heard_at = 120.0
    assert survey.silent(101.0 + SILENT_AFTER_S) == [pickers[0]]
    pickers[0].is_serving = False
    assert survey.silent(101.0 + SILENT_AFTER_S) == []
