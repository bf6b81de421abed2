"""The text that the fake model says: known in advance, the same for the same prompt, model and seed on every pod."""

import msgspec
import xxhash

from epp.lab.fake_vllm.sequence import FinishReason
from epp.lab.fake_vllm.tokens import TOKEN_BYTES

# Every word is one token, and none needs escaping in JSON: streamed chunks are cut out of the text as they are.
_WORDS = (
    "the sun set and our old cat saw you sit low now for all the sky was red and dim yet she had not run far off but "
    "hid out who can say how one man may win any day his dog ate ham ice pie and egg nor did her kid cry why ask him "
    "try two ten six new big hot wet dry ink pen cup jar box map key bed hat fox owl bee ant elk ram hen pig cow yak "
    "gnu emu "
)
_CORPUS = _WORDS.encode()
_CORPUS_TOKENS = len(_CORPUS) // TOKEN_BYTES


class Answer(msgspec.Struct, frozen=True):
    """`tokens` is what the engine produces; `text` is what the client sees (a stop string and what follows are cut)."""

    tokens: bytes
    text: bytes
    finish_reason: FinishReason
    stop_reason: str | None = None

    def piece(self, position: int) -> bytes:
        """The visible text of one output token."""
        return self.text[position * TOKEN_BYTES : (position + 1) * TOKEN_BYTES]


class AnswerLimits(msgspec.Struct, frozen=True):
    """What bounds an answer: `most` tokens; the natural length lies in `natural` unless `ignore_eos`."""

    most: int
    natural: tuple[int, int]
    least: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()


def plan_answer(prompt: bytes, *, seed: int, limits: AnswerLimits) -> Answer:
    """Decides words and length from a hash of the prompt and the seed."""
    digest = xxhash.xxh3_64_intdigest(prompt, seed=seed % 2**64)
    shortest, longest = limits.natural
    natural = max(shortest + digest % (longest - shortest + 1), limits.least)
    ends = natural <= limits.most and not limits.ignore_eos
    count = natural if ends else limits.most
    first = (digest >> 32) % _CORPUS_TOKENS * TOKEN_BYTES
    rounds = count // _CORPUS_TOKENS + 2
    tokens = (_CORPUS * rounds)[first : first + count * TOKEN_BYTES]
    found = [
        (place, stop)
        for stop in limits.stop
        if (place := tokens.find(stop.encode("utf-8", "surrogatepass"), limits.least * TOKEN_BYTES)) >= 0
    ]
    if not found:
        return Answer(tokens, tokens, "stop" if ends else "length")
    place, stop = min(found)
    produced = -(-(place + len(stop)) // TOKEN_BYTES)
    return Answer(tokens[: produced * TOKEN_BYTES], tokens[:place], "stop", stop)
