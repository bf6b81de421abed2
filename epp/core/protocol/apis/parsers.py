"""Which parser reads the body of which path.

A path belongs to the route with the most segments that agree with its end, compared as whole segments (the reference
compares letters, so that /v1/foocompletions counts as completions). A fallback parser takes what no route claims, and
where a gRPC parser is configured, the bodies of all other gRPC methods pass unread too.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, get_args

from epp.core.domain.pool import AppProtocol
from epp.core.domain.value import Value
from epp.core.protocol.apis import anthropic, openai, sglang_generate, vertex_ai, vllm_generate, vllm_grpc
from epp.core.protocol.apis.json_fields import Data
from epp.core.protocol.body import NO_BODY, RequestBody
from epp.core.protocol.grpc_usage import VertexUsageReader, VllmEmbedUsageReader, VllmGenerateUsageReader
from epp.core.protocol.usage import UsageReader

BodyReader = Callable[[Data], RequestBody]
ANY_PROTOCOL: Final[tuple[AppProtocol, ...]] = get_args(AppProtocol)
H2C: Final[tuple[AppProtocol, ...]] = ("kubernetes.io/h2c",)


class Route(Value):
    """Paths that end in `tail`; with `whole` the path is `tail` and nothing more."""

    tail: tuple[str, ...]
    read: BodyReader
    whole: bool = False
    any_package: bool = False
    """the first segment of `tail` is a gRPC service, which may be in any package"""
    usage: Callable[[], UsageReader] | None = None
    """reads the usage of a gRPC answer; those of HTTP are told by their content type"""


class Parser(Value):
    """A parser plugin: its routes, whether it takes everything else, and how the pods it is for must be spoken to."""

    name: str
    routes: tuple[Route, ...] = ()
    is_fallback: bool = False
    app_protocols: tuple[AppProtocol, ...] = ANY_PROTOCOL


def _vertex(method: str, read: BodyReader) -> Route:
    return Route((vertex_ai.SERVICE, method), read, any_package=True, usage=VertexUsageReader)


def read_nothing(_: Data) -> RequestBody:
    """The body passes unread: no model, no prompt; routed by load alone."""
    return NO_BODY


PARSERS: Final[Mapping[str, Parser]] = {
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
        Parser(
            "vllmgrpc-parser",
            (
                Route(
                    (vllm_grpc.SERVICE, "Generate"), vllm_grpc.read_generate, whole=True, usage=VllmGenerateUsageReader
                ),
                Route((vllm_grpc.SERVICE, "Embed"), vllm_grpc.read_embed, whole=True, usage=VllmEmbedUsageReader),
            ),
            app_protocols=H2C,
        ),
        Parser(
            "vertexai-parser",
            (
                _vertex("ChatCompletions", vertex_ai.read_chat_completions),
                _vertex("RawPredict", vertex_ai.read_raw_predict),
                _vertex("StreamRawPredict", vertex_ai.read_raw_predict),
            ),
            app_protocols=H2C,
        ),
        Parser("passthrough-parser", is_fallback=True),
    )
}
DEFAULT_PARSERS: Final = ("openai-parser", "anthropic-parser", "vllmhttp-parser", "passthrough-parser")
"""where the configuration names none; a list in the configuration has no fallback unless it names one"""


MOST_PATHS: Final = 100
LONGEST_PATH: Final = 1_000
"""most requests have one of very few paths, whose routes are remembered; that of a longer one is looked up anew"""


class ParserTable:
    """The parsers of one configuration, in order; the first of two equal routes counts."""

    def __init__(self, names: Iterable[str] = DEFAULT_PARSERS) -> None:
        self.names = tuple(names)
        self._by_tail: dict[tuple[str, ...], Route] = {}
        for name in self.names:
            for route in PARSERS[name].routes:
                self._by_tail.setdefault(route.tail, route)
        self._lengths = sorted({len(tail) for tail in self._by_tail}, reverse=True)
        self._has_fallback = any(PARSERS[name].is_fallback for name in self.names)
        self._knows_grpc = any(PARSERS[name].app_protocols == H2C for name in self.names)
        self._find_again = lru_cache(MOST_PATHS)(self._look_up)

    def unfit_for(self, app_protocol: AppProtocol) -> tuple[str, ...]:
        """The parsers whose requests a pool of this `appProtocol` could not serve."""
        return tuple(name for name in self.names if app_protocol not in PARSERS[name].app_protocols)

    def reads(self, path: str) -> bool:
        """Whether a route claims the path, so that a body is expected."""
        return self._find(path) is not None

    def reader(self, path: str) -> BodyReader | None:
        """The reader for a path without its query; None where nobody can read its body."""
        route = self._find(path)
        if route is not None:
            return route.read
        return read_nothing if self._has_fallback or (self._knows_grpc and _is_method(path)) else None

    def grpc_usage(self, path: str) -> UsageReader | None:
        """A new reader for the gRPC answer of a path; None where its messages are not known."""
        route = self._find(path)
        return route.usage() if route is not None and route.usage is not None else None

    def _find(self, path: str) -> Route | None:
        return self._find_again(path) if len(path) <= LONGEST_PATH else self._look_up(path)

    def _look_up(self, path: str) -> Route | None:
        segments = _segments(path)
        for length in self._lengths:
            route = self._by_tail.get(segments[-length:])
            if route is not None and not (route.whole and len(segments) > length):
                return route
        if self._knows_grpc and len(segments) > 1:
            service, method = segments[-2:]
            route = self._by_tail.get((service.rpartition(".")[2], method))
            return route if route is not None and route.any_package else None
        return None


def _segments(path: str) -> tuple[str, ...]:
    return tuple([segment for segment in path.split("/") if segment])


def _is_method(path: str) -> bool:
    """Whether it is `/package.Service/Method`."""
    segments = _segments(path)
    return len(segments) == 2 and "." in segments[0]


DEFAULT_TABLE: Final = ParserTable()
