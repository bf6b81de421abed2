"""From requests to samples: what was known at the pick, what was seen later, and what that says of the coefficients.

A note is kept per request in flight and dropped when it is over.
"""

from collections.abc import Callable

from epp.core.domain.decision import Decision
from epp.core.domain.ports import Outcome, RequestReport
from epp.core.scheduling.cost.coefficients import CoefficientLearner, OutputLengths


class Note:
    """What was known when the request was picked. Prefill is in the units of the parameters, before learning."""

    def __init__(
        self,
        *,
        slot: int,
        picked_at: float,
        own_s: float,
        ahead_s: float,
        step_s: float,
        context: float,
        worked_s: float,
        first_token_at: float | None = None,
    ) -> None:
        self.slot = slot
        self.picked_at = picked_at
        self.own_s = own_s
        self.ahead_s = ahead_s
        self.step_s = step_s
        self.context = context
        """tokens in flight there"""
        self.worked_s = worked_s
        """prefill seconds worked off there up to the first token; up to the pick while that was not seen"""
        self.first_token_at = first_token_at


class Ended:
    """A request that is over, for the report that follows at once."""

    def __init__(self, serial: int, note: Note, at: float, context: float, worked_s: float) -> None:
        self.serial = serial
        self.note = note
        self.at = at
        self.context = context
        self.worked_s = worked_s


class Lessons:
    """Notes by serial; `learner_of` gives the learner of a slot."""

    def __init__(self, learner_of: Callable[[int], CoefficientLearner], lengths: OutputLengths) -> None:
        self._learner_of = learner_of
        self._lengths = lengths
        self._notes: dict[int, Note] = {}
        self._ended: Ended | None = None

    def __len__(self) -> int:
        return len(self._notes)

    def picked(self, serial: int, note: Note) -> None:
        """A request was sent."""
        self._notes[serial] = note

    def moved(self, serial: int) -> None:
        """It is served elsewhere: what was known at the pick is of another slot."""
        self._notes.pop(serial, None)

    def first_token(self, serial: int, now: float, worked_s: float) -> None:
        """Its first token was seen; `worked_s`: prefill seconds worked off there so far."""
        note = self._notes.get(serial)
        if note is None or note.first_token_at is not None:
            return
        note.first_token_at = now
        note.worked_s = worked_s
        self._learner_of(note.slot).first_token(
            now - note.picked_at, own_s=note.own_s, ahead_s=note.ahead_s, step_s=note.step_s, now=now
        )

    def has(self, serial: int) -> bool:
        """Whether something was noted at the pick."""
        return serial in self._notes

    def forget_ended(self) -> None:
        """A request was released of which nothing was noted."""
        self._ended = None

    def released(self, serial: int, now: float, context: float, worked_s: float) -> None:
        """It is over, with so many context tokens in flight there and prefill seconds worked off so far."""
        self._ended = Ended(serial, self._notes.pop(serial), now, context, worked_s)

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of the request that was released last."""
        ended, self._ended = self._ended, None
        usage = report.usage
        if usage is None or usage.completion_tokens is None or report.outcome is not Outcome.COMPLETE:
            return
        tokens = usage.completion_tokens
        self._lengths.learn(decision.request.target_model, tokens)
        if ended is None or ended.serial != decision.reservation.serial:
            return
        note, context = ended.note, (ended.note.context + ended.context) / 2.0
        learner = self._learner_of(note.slot)
        if note.first_token_at is not None:
            seconds, prefill_s, weight = ended.at - note.first_token_at, ended.worked_s - note.worked_s, 1.0
        else:
            seconds, weight = ended.at - note.picked_at, 0.5
            prefill_s = max(
                ended.worked_s - note.worked_s, learner.first_token_s(note.own_s + note.ahead_s, note.step_s)
            )
        learner.answer(
            seconds, tokens=tokens - 1, prefill_s=prefill_s, context_tokens=context, weight=weight, now=ended.at
        )
