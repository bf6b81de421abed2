"""Request bodies of the benchmark: chats whose prompts begin alike and end differently, from request to request.

Half of each prompt is one of eight system prompts, as applications send them before every question. The question that
follows begins with the number of the request, so that no prompt is ever sent twice: what a picker remembers of earlier
ones helps it with the first half and never with the second. All but the number is made beforehand, and costs the
generator nothing while it sends.
"""

from random import Random

import msgspec

from epp.lab.plan import BASE_MODEL
from epp.lab.traffic import WORDS

PATH = "/v1/chat/completions"
RING = 32
SHARED_PROMPTS = 8
MAX_TOKENS = 100
SEED = 1
NUMBER_DIGITS = 12
_NUMBER = b"0" * NUMBER_DIGITS


class BodyTemplate(msgspec.Struct, frozen=True):
    """A JSON body around the number of the request."""

    before: bytes
    after: bytes

    @property
    def size_bytes(self) -> int:
        """Of the whole body."""
        return len(self.before) + NUMBER_DIGITS + len(self.after)

    def pieces(self, number: int) -> tuple[bytes, bytes, bytes]:
        """The body of one request, uncopied."""
        return self.before, b"%0*d" % (NUMBER_DIGITS, number), self.after


def ring(prompt_bytes: int, *, is_streamed: bool, count: int = RING) -> list[BodyTemplate]:
    """So many templates, each with about `prompt_bytes` of text in its messages; the same ones with every call."""
    rng = Random(SEED)
    shared = [_text(rng, prompt_bytes // 2) for _ in range(min(SHARED_PROMPTS, count))]
    return [
        _template(shared[number % len(shared)], _text(rng, prompt_bytes // 2), is_streamed) for number in range(count)
    ]


def _template(system: str, question: str, is_streamed: bool) -> BodyTemplate:
    fields = {
        "model": BASE_MODEL,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": f"Question {_NUMBER.decode()}: {question}"},
        ],
        "max_tokens": MAX_TOKENS,
        "temperature": 0.7,
    }
    if is_streamed:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    before, _, after = msgspec.json.encode(fields).partition(_NUMBER)
    return BodyTemplate(before, after)


def _text(rng: Random, size_bytes: int) -> str:
    """Words, cut to the size."""
    words = rng.choices(WORDS, k=size_bytes // 4 + 1)  # none is shorter than three letters and a space
    return " ".join(words)[:size_bytes]
