"""What the picker processes say when they are asked, and what they said last."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from epp.app.picker_handle import PickerHandle
from epp.app.request_side import ServingState
from epp.edge.admin.pages import Work
from epp.edge.observe.picker_families import PickerNumbers
from epp.edge.observe.told_counts import ToldCounts
from epp.edge.peers.messages import Ask, AskDecisions, Decisions, Message, Told

ANSWER_WITHIN_S = 1.0
SILENT_AFTER_S = 30.0
"""Envoy has given up on such a picker long ago, request by request"""


class PickerSurvey:
    """Asks whoever serves; what does not answer in time is counted, and left out or shown as it was told last."""

    def __init__(self, pickers: Callable[[], Sequence[PickerHandle]], counts: ToldCounts) -> None:
        self._pickers = pickers
        self._counts = counts
        self._questions = 0
        self.silences = 0
        """answers that did not come in time"""

    @property
    def told(self) -> list[Told]:
        """What each living picker said last."""
        return [each.told for each in self._pickers() if each.told is not None and each.is_serving]

    @property
    def state(self) -> ServingState:
        """The sums of what they said last; indexes of prefixes are alike, so that the largest counts."""
        told = self.told
        return ServingState(
            streams_open=sum(one.streams_open for one in told),
            buffered_bytes=sum(one.buffered_bytes for one in told),
            index_blocks=max((one.index_blocks for one in told), default=0),
        )

    @property
    def numbers(self) -> list[PickerNumbers]:
        """Of each picker."""
        return [
            PickerNumbers(
                picker=each.number,
                requests=self._counts.totals_of(each.number).routed,
                cpu_s=each.told.cpu_s,
                resident_bytes=each.told.resident_bytes,
                streams_open=each.told.streams_open,
            )
            for each in self._pickers()
            if each.told is not None
        ]

    def silent(self, now: float) -> list[PickerHandle]:
        """Those that serve and have said nothing for SILENT_AFTER_S, though every picker speaks once a second."""
        return [each for each in self._pickers() if each.is_serving and now - each.heard_at > SILENT_AFTER_S]

    async def ask(self) -> None:
        """Lets every picker tell how it does now."""
        await self._answers(Ask)

    async def decisions(self, *, limit: int, request_id: str, model: str) -> Work:
        """The last decisions of all, the newest first (DecisionsPage); each row says which picker decided."""
        answers = await self._answers(lambda number: AskDecisions(number, limit, request_id, model))

        def together() -> object:
            rows = [
                {**row, "picker": number}
                for number, answer in answers
                if isinstance(answer, Decisions)
                for row in msgspec.json.decode(answer.rows)
            ]
            return sorted(rows, key=lambda row: str(row["when"]), reverse=True)[:limit]

        return together

    async def _answers(self, question: Callable[[int], Message]) -> list[tuple[int, Message]]:
        """Of every picker that serves and answers in time, with its number."""
        self._questions += 1
        asked = [(each, each.asked(self._questions)) for each in self._pickers() if each.is_serving]
        for picker, _ in asked:
            picker.send(question(self._questions))
        if not asked:
            return []
        done, late = await asyncio.wait([answer for _, answer in asked], timeout=ANSWER_WITHIN_S)
        self.silences += len(late)
        for answer in late:
            answer.cancel()
        return [
            (picker.number, answer.result()) for picker, answer in asked if answer in done and not answer.cancelled()
        ]
