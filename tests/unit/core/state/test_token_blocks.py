from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.request import MultimodalItem
from epp.core.kvevents import ExtraKey
from epp.core.state.token_blocks import TokenPrompt, chain_keys, event_extras, extra_digest, prompt_extras, root_key
from tests.support.kv_blocks import token_ids

BLOCK = 4


@given(st.text("abc", max_size=20), st.integers(0, 20))
def test_a_chain_may_be_computed_in_pieces(letters: str, cut: int) -> None:
    root = root_key("", 2)
    whole = chain_keys(root, token_ids(letters), 2, {})
    head = chain_keys(root, token_ids(letters[:cut]), 2, {})
    assert head + chain_keys(head[-1] if head else root, token_ids(letters[cut:]), 2, {}) == whole
    assert len(whole) == len(letters)


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_keys_are_equal_exactly_as_far_as_prompts_are(one: str, other: str) -> None:
    root, blocks = root_key("", 2), min(len(one), len(other))
    left, right = (chain_keys(root, token_ids(letters[:blocks]), 2, {}) for letters in (one, other))
    equal = [a == b for a, b in zip(left, right, strict=True)]
    assert equal == [one[: end + 1] == other[: end + 1] for end in range(blocks)]


def test_adapter_and_block_size_are_in_the_root() -> None:
    assert len({root_key("", 16), root_key("", 32), root_key("food", 16), root_key("6", 1)}) == 4


def vllm_extra_keys(prompt: TokenPrompt) -> list[list[ExtraKey]]:
    """What vLLM puts into an event for each block of a prompt (generate_block_hash_extra_keys), block by block."""
    found = []
    for start in range(0, prompt.block_count(BLOCK) * BLOCK, BLOCK):
        keys: list[ExtraKey] = [prompt.adapter] if prompt.adapter else []
        keys += [
            (item.identifier, item.offset - start)
            for item in prompt.multimodal
            if start + BLOCK > item.offset and start < item.offset + item.length
        ]
        if start == 0 and prompt.cache_salt:
            keys.append(prompt.cache_salt)
        found.append(keys)
    return found


ITEMS = st.lists(st.tuples(st.sampled_from("cd"), st.integers(0, 6), st.integers(1, 9)), max_size=3)


@given(ITEMS, st.sampled_from(["", "food"]), st.sampled_from(["", "tenant"]))
def test_a_request_and_an_event_come_to_the_same_extras(
    spaces: list[tuple[str, int, int]], adapter: str, salt: str
) -> None:
    items, place = [], 0
    for identifier, gap, length in spaces:
        items.append(MultimodalItem(identifier, place + gap, length))
        place += gap + length
    prompt = TokenPrompt(bytes(4 * 30), adapter, salt, tuple(items))
    assert prompt_extras(prompt, BLOCK) == event_extras(vllm_extra_keys(prompt), adapter)


def test_an_item_beyond_the_prompt_is_no_matter() -> None:
    prompt = TokenPrompt(bytes(4 * 4), multimodal=(MultimodalItem("far", 10**9, 10**9),))
    assert prompt_extras(prompt, BLOCK) == {}


def test_digests_tell_a_salt_from_an_item() -> None:
    assert len({extra_digest(["x"]), extra_digest([("x", 0)]), extra_digest([b"x"]), extra_digest([("x", 1)])}) == 4
