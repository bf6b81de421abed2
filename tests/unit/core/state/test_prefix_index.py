"""The prefix index beside a naive model that keeps plain lists."""

from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.state.block_hashes import Chain, hash_blocks
from epp.core.state.prefix_index import PrefixIndex

BLOCK_BYTES = 64
SLOTS = (0, 1, 2, 63, 64, 200)
PROMPTS = st.text("ab", max_size=9)


def chain_of(prompt: str) -> list[int]:
    """One block per letter; equal beginnings have equal hashes, as with real chains."""
    return [hash(("block", prompt[: end + 1])) % 2**64 for end in range(len(prompt))]


def real_chain(*parts: tuple[str, int]) -> Chain:
    """Of a prompt whose parts have so many blocks each."""
    data = "".join(text * (blocks * BLOCK_BYTES) for text, blocks in parts).encode()
    return hash_blocks(data, BLOCK_BYTES, "m", 1 << 20)


class NaiveIndex:
    """Blocks per slot, least recent first."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}

    def insert(self, slot: int, chain: list[int], capacity: int) -> None:
        blocks = self.held.setdefault(slot, [])
        for block in reversed(chain[:capacity]):
            if block in blocks:
                blocks.remove(block)
            blocks.append(block)
        del blocks[: max(0, len(blocks) - capacity)]

    def match(self, chain: list[int]) -> dict[int, int]:
        matched = {}
        for slot, blocks in self.held.items():
            length = 0
            while length < len(chain) and chain[length] in blocks:
                length += 1
            if length:
                matched[slot] = length
        return matched


INSERT = st.tuples(st.just("insert"), st.sampled_from(SLOTS), PROMPTS, st.integers(0, 12))
FORGET = st.tuples(st.just("forget"), st.sampled_from(SLOTS), st.just(""), st.just(0))
STEPS = st.lists(INSERT | INSERT | INSERT | FORGET, max_size=40)


@settings(max_examples=300)
@given(STEPS, st.lists(PROMPTS, max_size=6))
def test_agrees_with_the_naive_model(steps: list[tuple[str, int, str, int]], questions: list[str]) -> None:
    index, model = PrefixIndex(), NaiveIndex()
    for action, slot, prompt, capacity in steps:
        chain = chain_of(prompt)
        if action == "forget":
            index.forget(slot)
            model.held.pop(slot, None)
        else:
            index.insert(slot, chain, capacity)
            model.insert(slot, chain, capacity)
            assert index.held_by(slot) <= capacity
        assert index.match(chain) == model.match(chain)
    for prompt in questions:
        assert index.match(chain_of(prompt)) == model.match(chain_of(prompt))
    assert {slot: index.held_by(slot) for slot in SLOTS} == {slot: len(model.held.get(slot, [])) for slot in SLOTS}
    assert index.block_count == sum(map(len, model.held.values()))


@given(STEPS)
def test_what_a_slot_holds_of_a_prompt_is_always_a_beginning_of_it(steps: list[tuple[str, int, str, int]]) -> None:
    model = NaiveIndex()
    seen = [prompt for _, _, prompt, _ in steps]
    for action, slot, prompt, capacity in steps:
        if action == "forget":
            model.held.pop(slot, None)
        else:
            model.insert(slot, chain_of(prompt), capacity)
        for earlier in seen:
            chain = chain_of(earlier)
            for blocks in model.held.values():
                holds = [block in blocks for block in chain]
                assert holds == sorted(holds, reverse=True)


@given(STEPS)
def test_forgetting_everybody_leaves_nothing(steps: list[tuple[str, int, str, int]]) -> None:
    index = PrefixIndex()
    for _, slot, prompt, capacity in steps:
        index.insert(slot, chain_of(prompt), capacity)
    for slot in SLOTS:
        index.forget(slot)
    assert index.block_count == 0
    assert index.node_count == 0
    assert all(not index.match(chain_of(prompt)) for _, _, prompt, _ in steps)


def test_matches_end_where_each_slot_ends() -> None:
    index = PrefixIndex()
    chain = list(range(1000, 1100))
    for slot, length in enumerate((100, 1, 37, 64, 99, 2, 37)):
        index.insert(slot, chain[:length], 200)

    assert index.match(chain) == dict(enumerate((100, 1, 37, 64, 99, 2, 37)))
    assert index.match(chain[:50]) == dict(enumerate((50, 1, 37, 50, 50, 2, 37)))
    assert index.match([]) == {}
    assert index.match([1]) == {}


def test_prompts_that_part_late_share_what_they_have_in_common() -> None:
    """Long chains are arrays, short ones lists."""
    index = PrefixIndex()
    for slot, parts in enumerate((("a", 300), ("a", 200), ("a", 40))):
        for tail in ("x", "y"):
            index.insert(slot, real_chain(parts, (tail, 100)), 5_000)
    assert index.match(real_chain(("a", 300), ("y", 100), ("z", 9))) == {0: 400, 1: 200, 2: 40}
    assert index.match(real_chain(("a", 30))) == {0: 30, 1: 30, 2: 30}
    for slot, (shared, full) in enumerate(((300, 500), (200, 400), (40, 240))):
        assert index.held_by(slot) == full
        assert index.match(real_chain(("a", shared), ("x", 100)))[slot] == shared + 100
    for slot in range(3):
        index.forget(slot)
    assert index.node_count == 0


def test_tails_go_first() -> None:
    index = PrefixIndex()
    index.insert(0, chain_of("aaaa"), 6)
    index.insert(0, chain_of("bbbb"), 6)

    assert index.match(chain_of("bbbb")) == {0: 4}
    assert index.match(chain_of("aaaa")) == {0: 2}


def test_a_chain_longer_than_the_capacity_keeps_its_beginning() -> None:
    index = PrefixIndex()
    index.insert(0, chain_of("abababab"), 3)
    assert index.match(chain_of("abababab")) == {0: 3}
