"""Which parser reads the body of which path.

A path belongs to the route with the most segments that agree with its end, compared as whole segments (the reference
compares letters, so that /v1/foocompletions counts as completions). A fallback parser takes what no route claims.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from epp.core.protocol.apis import anthropic, openai, sglang_generate, vllm_generate
from epp.core.protocol.apis.json_fields import Data
from epp.core.protocol.body import NO_BODY, RequestBody

BodyReader = Callable[[Data], RequestBody]


class Route(msgspec.Struct, frozen=True):
    """Paths that end in `tail`; with `whole` the path is `tail` and nothing more."""

    tail: tuple[str, ...]
    read: BodyReader
    whole: bool = False


class Parser(msgspec.Struct, frozen=True):
    """A parser plugin: its routes, and whether it takes everything else."""

    name: str
    routes: tuple[Route, ...] = ()
    is_fallback: bool = False


def read_nothing(_: Data) -> RequestBody:
    """The body passes unread: no model, no prompt; routed by load alone."""
    return NO_BODY


PARSERS: Mapping[str, Parser] = {
    parser.name: parser
    for parser in (
        Parser(
            "openai-parser",
            (
                Route(("chat", "completions"), openai.read_chat_completions),
                Route(("completions",), openai.read_completions),
                Route(("chat", "completions", "render"), openai.read_chat_completions),
                Route(("completions", "render"), openai.read_completions),
                Route(("responses",), openai.read_responses),
                Route(("conversations",), openai.read_conversations),
                Route(("embeddings",), openai.read_embeddings),
                Route(("images", "generations"), openai.read_images),
            ),
        ),
        Parser(
            "anthropic-parser",
            (
                Route(("messages",), anthropic.read_messages),
                Route(("messages", "count_tokens"), anthropic.read_count_tokens),
            ),
        ),
        Parser("vllmhttp-parser", (Route(("inference", "v1", "generate"), vllm_generate.read_generate),)),
        Parser("sglanghttp-parser", (Route(("generate",), sglang_generate.read_generate, whole=True),)),
        Parser("passthrough-parser", is_fallback=True),
    )
}
DEFAULT_PARSERS = ("openai-parser", "anthropic-parser", "vllmhttp-parser", "passthrough-parser")
"""where the configuration names none; a list in the configuration has no fallback unless it names one"""


class ParserTable:
    """The parsers of one configuration, in order; the first of two equal routes counts."""

    def __init__(self, names: Iterable[str] = DEFAULT_PARSERS) -> None:
        self.names = tuple(names)
        routes = [route for name in self.names for route in PARSERS[name].routes]
        self._routes = sorted(routes, key=lambda route: len(route.tail), reverse=True)
        self._has_fallback = any(PARSERS[name].is_fallback for name in self.names)

    def reads(self, path: str) -> bool:
        """Whether a route claims the path, so that a body is expected."""
        return self._find(path) is not None

    def reader(self, path: str) -> BodyReader | None:
        """The reader for a path without its query; None where nobody can read its body."""
        route = self._find(path)
        if route is not None:
            return route.read
        return read_nothing if self._has_fallback else None

    def _find(self, path: str) -> Route | None:
        segments = tuple(segment for segment in path.split("/") if segment)
        for route in self._routes:
            if segments == route.tail or (not route.whole and segments[-len(route.tail) :] == route.tail):
                return route
        return None
