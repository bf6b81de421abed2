"""Following numbered batches, scripted case by case, and against a publisher that loses, restarts and forgets."""

from collections import deque

from hypothesis import example, given, settings
from hypothesis import strategies as st

from epp.core.kvevents import BlockRemoved, BlockStored, Event, EventBatch
from epp.core.state.event_sequence import (
    MOST_ATTEMPTS,
    MOST_PENDING_BYTES,
    REPLAY_COOL_DOWN_S,
    UNREADABLE,
    Apply,
    AskReplay,
    Command,
    Complete,
    EventSequence,
    Void,
)

NOW = 100.0


def event(block: int) -> BlockStored:
    return BlockStored((block,), None, b"", 1, "")


def batch(ts: float, payload_bytes: int = 10) -> EventBatch:
    """Recognisable by its time."""
    return EventBatch(ts, (event(int(ts)),), payload_bytes=payload_bytes)


def apply(*times: float) -> list[Command]:
    return [Apply(batch(ts).events) for ts in times]


def following(*, can_replay: bool = True, last: int = 2) -> EventSequence:
    """Has applied the batches 0 to `last`, each with its number as its time."""
    sequence = EventSequence(can_replay=can_replay)
    sequence.connected()
    if can_replay:
        sequence.replay_ended(NOW)
    for number in range(last + 1):
        sequence.live(number, batch(number), NOW)
    assert sequence.last == last
    return sequence


def test_the_buffer_is_seen_before_anything_is_trusted() -> None:
    sequence = EventSequence(can_replay=True)
    assert sequence.connected() == [Void(), AskReplay(0)]
    assert sequence.replayed(0, batch(0)) == [Complete(), *apply(0)]
    assert sequence.replayed(1, batch(1)) == apply(1)
    assert sequence.replay_ended(NOW) == []
    assert sequence.live(2, batch(2), NOW) == apply(2)


def test_an_engine_that_has_published_nothing_has_nothing_cached() -> None:
    sequence = EventSequence(can_replay=True)
    sequence.connected()
    assert sequence.replay_ended(NOW) == [Complete()]
    assert sequence.live(0, batch(0), NOW) == [Complete(), *apply(0)]


def test_a_buffer_that_does_not_reach_back_to_the_beginning_leaves_the_cache_partly_unknown() -> None:
    sequence = EventSequence(can_replay=True)
    sequence.connected()
    assert sequence.replayed(5, batch(5)) == [Void(), *apply(5)]
    assert sequence.replay_ended(NOW) == []


def test_live_batches_wait_for_the_replay_and_are_not_applied_twice() -> None:
    sequence = EventSequence(can_replay=True)
    sequence.connected()
    assert sequence.live(1, batch(1), NOW) == []
    assert sequence.live(2, batch(2), NOW) == []
    assert sequence.replayed(0, batch(0)) == [Complete(), *apply(0)]
    assert sequence.replayed(1, batch(1)) == apply(1)
    assert sequence.replay_ended(NOW) == apply(2)


def test_a_repetition_is_dropped() -> None:
    sequence = following()
    assert sequence.live(2, batch(2), NOW) == []
    assert sequence.live(0, batch(0), NOW) == []
    assert sequence.live(3, batch(3), NOW) == apply(3)


def test_a_gap_is_filled_by_a_replay_that_begins_with_what_is_known() -> None:
    sequence = following()
    assert sequence.live(5, batch(5), NOW) == [AskReplay(2)]
    assert sequence.is_replaying
    assert sequence.replayed(2, batch(2)) == []
    assert sequence.replayed(3, batch(3)) == apply(3)
    assert sequence.replayed(4, batch(4)) == apply(4)
    assert sequence.replay_ended(NOW) == apply(5)
    assert not sequence.is_replaying


def test_a_gap_that_the_buffer_cannot_fill_voids_what_is_known() -> None:
    sequence = following()
    sequence.live(9, batch(9), NOW)
    assert sequence.replayed(7, batch(7)) == [Void(), *apply(7)]
    assert sequence.replayed(8, batch(8)) == apply(8)
    assert sequence.replay_ended(NOW) == apply(9)


def test_a_gap_behind_a_gap() -> None:
    sequence = following()
    sequence.live(4, batch(4), NOW)
    sequence.live(6, batch(6), NOW)
    sequence.replayed(2, batch(2))
    sequence.replayed(3, batch(3))
    assert sequence.replay_ended(NOW) == [*apply(4), AskReplay(4)]
    sequence.replayed(4, batch(4))
    assert sequence.replayed(5, batch(5)) == apply(5)
    assert sequence.replay_ended(NOW) == apply(6)


def test_an_engine_that_was_started_again_counts_from_0() -> None:
    sequence = following()
    assert sequence.live(0, batch(50), NOW) == [Void(), Complete(), *apply(50)]
    assert sequence.live(1, batch(51), NOW) == apply(51)


def test_a_restart_whose_beginning_was_missed() -> None:
    sequence = following(last=7)
    assert sequence.live(2, batch(52), NOW) == [Void(), AskReplay(0)]
    assert sequence.replayed(0, batch(50)) == [Complete(), *apply(50)]
    assert sequence.replayed(1, batch(51)) == apply(51)
    assert sequence.replay_ended(NOW) == apply(52)


def test_a_restarted_engine_that_is_further_than_the_old_one_is_found_out_by_the_times() -> None:
    sequence = following()
    assert sequence.live(4, batch(54), NOW) == [AskReplay(2)]
    assert sequence.replayed(2, batch(52)) == []
    assert sequence.replayed(3, batch(53)) == []
    assert sequence.replay_ended(NOW) == [Void(), AskReplay(0)]
    assert sequence.replayed(0, batch(50)) == [Complete(), *apply(50)]


def test_after_a_lost_connection_the_publisher_must_show_who_it_is() -> None:
    sequence = following()
    sequence.disconnected()
    assert sequence.connected() == [AskReplay(2)]
    assert sequence.replay_ended(NOW) == [Void(), AskReplay(0)], "it does not even have batch 2"
    assert sequence.replay_ended(NOW) == [Complete()]


def test_after_a_lost_connection_the_next_batch_is_checked_even_if_nobody_noticed_the_connection_coming_back() -> None:
    sequence = following()
    sequence.disconnected()
    assert sequence.live(3, batch(3), NOW) == [AskReplay(2)]
    sequence.replayed(2, batch(2))
    assert sequence.replay_ended(NOW) == apply(3)


def test_a_publisher_that_stays_silent_is_followed_anew() -> None:
    sequence = following()
    sequence.disconnected()
    assert sequence.given_up() == [Void()]
    assert sequence.connected() == [Void(), AskReplay(0)]


def test_without_a_replay_socket_a_gap_voids_what_is_known() -> None:
    sequence = following(can_replay=False)
    assert sequence.live(4, batch(4), NOW) == [Void(), *apply(4)]
    assert sequence.live(5, batch(5), NOW) == apply(5)


def test_without_a_replay_socket_a_new_connection_is_a_new_engine() -> None:
    sequence = following(can_replay=False)
    sequence.disconnected()
    assert sequence.connected() == [Void()]
    assert sequence.live(3, batch(3), NOW) == [Void(), *apply(3)]
    assert following(can_replay=False).live(0, batch(9), NOW) == [Void(), Complete(), *apply(9)]


def test_a_replay_without_an_answer_is_tried_a_few_times_and_then_left_alone_for_a_while() -> None:
    sequence = following()
    assert sequence.live(4, batch(4), NOW) == [AskReplay(2)]
    for _ in range(MOST_ATTEMPTS - 1):
        assert sequence.replay_failed(NOW) == [AskReplay(2)]
    assert sequence.replay_failed(NOW) == [Void(), Void(), *apply(4)]
    assert sequence.live(6, batch(6), NOW) == [Void(), *apply(6)]
    assert sequence.live(8, batch(8), NOW + REPLAY_COOL_DOWN_S) == [AskReplay(6)]


def test_replays_that_do_not_bring_what_is_missing_come_to_an_end() -> None:
    sequence = following()
    commands = sequence.live(4, batch(4), NOW)
    asked = 0
    while commands == [AskReplay(2)]:
        asked += 1
        sequence.replayed(2, batch(2))
        commands = sequence.replay_ended(NOW)
    assert asked == MOST_ATTEMPTS
    assert commands == [Void(), *apply(4)]


def test_an_unreadable_batch_voids_what_is_known_and_following_goes_on() -> None:
    sequence = following()
    assert sequence.live(3, UNREADABLE, NOW) == [Void()]
    assert sequence.live(4, batch(4), NOW) == apply(4)
    assert sequence.live(2, UNREADABLE, NOW) == []


def test_what_an_engine_that_is_no_more_had_published_is_dropped() -> None:
    sequence = EventSequence(can_replay=True)
    assert sequence.connected() == [Void(), AskReplay(0)]
    for number in range(3):
        sequence.live(number, EventBatch(float(number), (event(number),)), NOW)
    sequence.replayed(0, EventBatch(50.0, (event(50),)))
    sequence.replayed(1, EventBatch(51.0, (event(51),)))
    assert sequence.replay_ended(NOW) == [], "its batch 2 does not follow the new engine's batch 1"


def test_what_waits_for_a_replay_is_bounded() -> None:
    sequence = following()
    sequence.live(4, batch(4), NOW)
    sequence.live(5, batch(5, payload_bytes=MOST_PENDING_BYTES), NOW)
    sequence.live(6, batch(6), NOW)
    sequence.replayed(2, batch(2))
    sequence.replayed(3, batch(3))
    assert sequence.replay_ended(NOW) == [*apply(4), AskReplay(4)], "the large one is asked for again"


class Publisher:
    """An engine with a set of blocks, a short buffer, and a wire that may lose what it sends."""

    def __init__(self, buffered: int) -> None:
        self.buffered = buffered
        self.now = 0.0
        self.restart()

    def restart(self) -> None:
        self.blocks: set[int] = set()
        self.buffer: deque[tuple[int, EventBatch]] = deque(maxlen=self.buffered)
        self.next = 0

    def publish(self, block: int) -> tuple[int, EventBatch]:
        """Stores a block, or removes it when it is there."""
        self.now += 1.0
        change: Event = BlockRemoved((block,)) if block in self.blocks else event(block)
        self.blocks ^= {block}
        message = (self.next, EventBatch(self.now, (change,)))
        self.next += 1
        self.buffer.append(message)
        return message


class Follower:
    """Carries out the commands; a replay is answered when `answer` is called."""

    def __init__(self, publisher: Publisher, *, can_replay: bool) -> None:
        self.publisher = publisher
        self.sequence = EventSequence(can_replay=can_replay)
        self.blocks: set[int] = set()
        self.is_complete = False
        self.asked: int | None = None
        self.carry_out(self.sequence.connected())

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Void():
                    self.blocks, self.is_complete = set(), False
                case Complete():
                    self.is_complete = True
                case AskReplay():
                    assert self.asked is None, "one replay at a time"
                    self.asked = command.first
                case Apply():
                    for change in command.events:
                        if isinstance(change, BlockStored):
                            self.blocks |= set(change.block_hashes)
                        elif isinstance(change, BlockRemoved):
                            self.blocks -= set(change.block_hashes)

    def answer(self, *, fails: bool = False) -> None:
        if self.asked is None:
            return
        first, self.asked = self.asked, None
        if fails:
            self.carry_out(self.sequence.replay_failed(self.publisher.now))
            return
        for number, each in list(self.publisher.buffer):
            if number >= first:
                self.carry_out(self.sequence.replayed(number, each))
        self.carry_out(self.sequence.replay_ended(self.publisher.now))

    def reconnect(self) -> None:
        self.sequence.disconnected()
        self.carry_out(self.sequence.connected())


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["publish", "publish", "publish", "lose", "answer", "fail", "restart", "reconnect"]))
    | st.tuples(st.just("publish"), st.integers(0, 4)),
    max_size=60,
)


@settings(max_examples=500)
@example([("publish",), ("publish",), ("publish",), ("restart",), ("publish",), ("restart",), ("lose",)], 1, True)
@example([("publish",), ("restart",), ("answer",), ("answer",), ("lose",)], 1, True)
@example([("publish",), ("restart",), ("answer",), ("answer",), ("lose",), ("publish",)], 1, True)
@given(ACTIONS, st.integers(1, 8), st.booleans())
def test_what_is_believed_is_always_true(actions: list[tuple[object, ...]], buffered: int, can_replay: bool) -> None:
    publisher = Publisher(buffered)
    follower = Follower(publisher, can_replay=can_replay)
    for number, (action, *rest) in enumerate(actions):
        block = int(str(rest[0])) if rest else number % 5
        if action in {"publish", "lose"}:
            message = publisher.publish(block)
            if action == "publish":
                follower.carry_out(follower.sequence.live(*message, publisher.now))
        elif action == "restart":
            publisher.restart()
            follower.reconnect()
        elif action == "reconnect":
            follower.reconnect()
        else:
            follower.answer(fails=action == "fail")
    follower.carry_out(follower.sequence.live(*publisher.publish(9), publisher.now))
    for _ in range(20):
        follower.answer()
    assert follower.asked is None
    assert follower.blocks <= publisher.blocks
    if follower.is_complete:
        assert follower.blocks == publisher.blocks
