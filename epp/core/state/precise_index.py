"""The precise prefix index: which endpoint caches which blocks, as the engines' own events say.

An engine names a block by a hash of its own, says which named block comes before it, and which tokens it holds. The
index follows these links and knows every block by a key that the picker can compute from a prompt (`token_blocks`).
One bit per slot and key says who holds it, so a match is one look-up and one AND per block, for all endpoints at once,
and it ends with the first block that nobody has.

Rules:
- A block whose parent is not known cannot be placed and is passed over; what is passed over is only missed, never
  claimed wrongly. `is_complete` says that nothing was missed: the events were followed from an empty cache on.
- A block counts while any medium holds it, with the weight of the best one (gpu 1, cpu 0.8 by default).
- Only KV cache groups with full attention are indexed: a window of a sliding one says nothing about a prefix.

Memory: about 180 bytes per block that one slot holds, about 100 more for each further slot that holds it (measured); at
most `most_blocks` blocks per slot, which are 47 MB with the default; blocks beyond that are passed over.
"""

from collections.abc import Iterator, Mapping

import xxhash

from epp.core.kvevents import GPU, AllBlocksCleared, BlockRemoved, BlockStored, Event
from epp.core.state.token_blocks import TOKEN_BYTES, TokenPrompt, chain_keys, event_extras, prompt_extras, root_key

MOST_BLOCKS_PER_SLOT = 1 << 18
MOST_NAMES = 1000
"""adapters and base models that are remembered"""
MOST_MEDIA = 16
DEFAULT_WEIGHTS: Mapping[str, float] = {GPU: 1.0, "cpu": 0.8}

_GPU_BIT = 1
_FULL_ATTENTION = ("full_attention", "mla", "sink_full")
_GROUP_FACTOR = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


class _Held:
    """What one slot holds: `keys` by the engine's name of the block, everything else only where it is unusual."""

    __slots__ = ("again", "block_tokens", "keys", "media")

    def __init__(self) -> None:
        self.keys: dict[int, int] = {}
        self.media: dict[int, int] = {}
        """media as bits by name of block; absent: GPU only"""
        self.again: dict[int, int] = {}
        """names beyond the first that stand for the same key (groups of a hybrid model)"""
        self.block_tokens = 0


class PreciseIndex:
    """Blocks by slot; see the module. Slots are small numbers."""

    def __init__(self, weights: Mapping[str, float] = DEFAULT_WEIGHTS, most_blocks: int = MOST_BLOCKS_PER_SLOT) -> None:
        """`weights` by medium, 0..1; media that are not named weigh as little as the lightest one."""
        self._weights = weights
        self._least = min(weights.values(), default=1.0)
        self._most_blocks = most_blocks
        self._media = [GPU]
        self._slots: dict[int, _Held] = {}
        self._holders: dict[int, int] = {}
        """bit mask of slots by key"""
        self._lighter: dict[int, dict[int, float]] = {}
        """weight by key and slot, where it is below 1"""
        self._sizes: dict[int, int] = {}
        self._complete = 0
        self._adapters: set[str] = set()
        self.passed_over = 0
        """blocks that could not be placed or had no room"""

    @property
    def block_count(self) -> int:
        """Number of (slot, block) pairs."""
        return sum(len(held.keys) for held in self._slots.values())

    @property
    def block_sizes(self) -> Mapping[int, int]:
        """Block sizes in tokens that are in use, each with the slots that use it as a bit mask."""
        return self._sizes

    def held_by(self, slot: int) -> int:
        """Number of blocks that the slot holds."""
        found = self._slots.get(slot)
        return len(found.keys) if found else 0

    def is_complete(self, slot: int) -> bool:
        """Whether the slot holds nothing but what is known here."""
        return bool(self._complete >> slot & 1)

    def knows_adapter(self, name: str) -> bool:
        """Whether an engine has ever stored a block of this adapter."""
        return name in self._adapters

    def apply(self, slot: int, event: Event) -> None:
        """Takes over one event of the slot's engine."""
        if isinstance(event, BlockStored):
            self._store(slot, event)
        elif isinstance(event, BlockRemoved):
            self._remove(slot, event)
        elif isinstance(event, AllBlocksCleared):
            self.clear(slot)
            self.set_complete(slot)

    def set_complete(self, slot: int) -> None:
        """From now on every event of the slot is known; what it holds beyond that is nothing."""
        self._complete |= 1 << slot

    def clear(self, slot: int) -> None:
        """Nothing is known of the slot any more: events were lost, its engine is another one, or nobody listens."""
        self._complete &= ~(1 << slot)
        held = self._slots.pop(slot, None)
        if held is not None:
            self._set_size(slot, held, 0)
            for key in set(held.keys.values()):
                self._drop_holder(slot, key)

    def match(self, prompt: TokenPrompt, block_tokens: int) -> dict[int, float]:
        """Blocks from the beginning of the prompt that each slot holds without a gap, each with its weight.

        Only slots that hold the first block are in the answer. Costs a hash and a look-up per matched block.
        """
        digest, holders, extras = xxhash.xxh3_64_intdigest, self._holders, prompt_extras(prompt, block_tokens)
        step, view, count = block_tokens * TOKEN_BYTES, memoryview(prompt.token_ids), prompt.block_count(block_tokens)
        key = root_key(prompt.adapter, block_tokens)
        matched: dict[int, float] = {}
        alive, number, walked = -1, 0, []
        while number < count and alive:
            seed = key ^ extras[number] if number in extras else key
            key = digest(view[number * step : (number + 1) * step], seed=seed)
            left = alive & holders.get(key, 0)
            if left != alive and number:
                matched.update(dict.fromkeys(_bits(alive & ~left), float(number)))
            alive = left
            walked.append(key)
            number += 1
        if alive > 0:
            matched.update(dict.fromkeys(_bits(alive), float(number)))
        if self._lighter:
            self._weigh(matched, walked)
        return matched

    def _weigh(self, matched: dict[int, float], walked: list[int]) -> None:
        lengths = dict(matched)
        for number, key in enumerate(walked):
            for slot, weight in self._lighter.get(key, {}).items():
                if number < lengths.get(slot, 0):
                    matched[slot] -= 1.0 - weight

    def _store(self, slot: int, event: BlockStored) -> None:
        names = [_name(each, event.group) for each in event.block_hashes]
        held = self._slots.setdefault(slot, _Held())
        if not event.token_ids:
            self._add_medium(slot, held, names, event.medium)
            return
        if not _is_indexed(event):
            return
        if event.parent is None:
            parent: int | None = root_key(event.adapter or "", event.block_tokens)
        else:
            parent = held.keys.get(_name(event.parent, event.group))
        tokens = len(names) * event.block_tokens
        room = self._most_blocks - len(held.keys)
        if parent is None or event.adapter is None or tokens * TOKEN_BYTES != len(event.token_ids) or room < len(names):
            self.passed_over += len(names)
            self._complete &= ~(1 << slot)
            return
        if event.adapter and len(self._adapters) < MOST_NAMES:
            self._adapters.add(event.adapter)
        self._set_size(slot, held, event.block_tokens)
        bit = self._medium_bit(event.medium)
        extras = event_extras(event.extra_keys, event.adapter)
        for name, key in zip(names, chain_keys(parent, event.token_ids, event.block_tokens, extras), strict=True):
            before = held.media.get(name, _GPU_BIT) if held.keys.get(name) == key else 0
            self._hold(slot, held, name, key)
            if bit != _GPU_BIT or held.media:
                self._set_media(slot, held, name, before | bit)

    def _hold(self, slot: int, held: _Held, name: int, key: int) -> None:
        former = held.keys.get(name)
        if former == key:
            return
        if former is not None:
            self._release(slot, held, name)
        held.keys[name] = key
        bit, holders = 1 << slot, self._holders.get(key, 0)
        if holders & bit:
            held.again[key] = held.again.get(key, 0) + 1
        else:
            self._holders[key] = holders | bit

    def _remove(self, slot: int, event: BlockRemoved) -> None:
        held = self._slots.get(slot)
        if held is None:
            return
        bit = self._medium_bit(event.medium)
        for each in event.block_hashes:
            name = _name(each, event.group)
            if name not in held.keys:
                continue
            media = held.media.get(name, _GPU_BIT)
            if not media & ~bit:
                self._release(slot, held, name)
            elif media & bit:
                self._set_media(slot, held, name, media & ~bit)

    def _release(self, slot: int, held: _Held, name: int) -> None:
        key = held.keys.pop(name)
        held.media.pop(name, None)
        others = held.again.get(key, 0)
        if not others:
            self._drop_holder(slot, key)
        elif others == 1:
            del held.again[key]
        else:
            held.again[key] = others - 1

    def _drop_holder(self, slot: int, key: int) -> None:
        left = self._holders[key] & ~(1 << slot)
        if left:
            self._holders[key] = left
        else:
            del self._holders[key]
        self._set_weight(slot, key, _GPU_BIT)

    def _add_medium(self, slot: int, held: _Held, names: list[int], medium: str) -> None:
        """Known blocks are on a further medium; unknown ones cannot be placed."""
        bit = self._medium_bit(medium)
        for name in names:
            if name in held.keys:
                self._set_media(slot, held, name, held.media.get(name, _GPU_BIT) | bit)
            else:
                self.passed_over += 1

    def _set_media(self, slot: int, held: _Held, name: int, media: int) -> None:
        if media == _GPU_BIT:
            held.media.pop(name, None)
        else:
            held.media[name] = media
        self._set_weight(slot, held.keys[name], media)

    def _set_size(self, slot: int, held: _Held, block_tokens: int) -> None:
        """An engine has one block size; 0 when it holds nothing."""
        former = held.block_tokens
        if former == block_tokens:
            return
        held.block_tokens = block_tokens
        if former:
            self._sizes[former] &= ~(1 << slot)
            if not self._sizes[former]:
                del self._sizes[former]
        if block_tokens:
            self._sizes[block_tokens] = self._sizes.get(block_tokens, 0) | 1 << slot

    def _medium_bit(self, medium: str) -> int:
        if medium not in self._media and len(self._media) < MOST_MEDIA:
            self._media.append(medium)
        return 1 << (self._media.index(medium) if medium in self._media else MOST_MEDIA)

    def _set_weight(self, slot: int, key: int, media: int) -> None:
        weight = max(
            (self._weights.get(name, self._least) for place, name in enumerate(self._media) if media >> place & 1),
            default=self._least,
        )
        if weight < 1.0:
            self._lighter.setdefault(key, {})[slot] = weight
        elif key in self._lighter:
            self._lighter[key].pop(slot, None)
            if not self._lighter[key]:
                del self._lighter[key]


def _is_indexed(event: BlockStored) -> bool:
    return not event.spec_kind or event.spec_kind.startswith(_FULL_ATTENTION)


def _name(block_hash: int, group: int) -> int:
    """Groups of a hybrid model use the same hashes for different blocks."""
    return block_hash if not group else (block_hash + group * _GROUP_FACTOR) & _MASK


def _bits(mask: int) -> Iterator[int]:
    """Numbers of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
