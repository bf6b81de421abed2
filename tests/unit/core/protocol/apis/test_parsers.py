"""Who reads the body of which path."""

import pytest

from epp.core.config.catalogue import PluginKind
from epp.core.protocol.apis import anthropic, openai, sglang_generate, vllm_generate
from epp.core.protocol.apis.parsers import DEFAULT_PARSERS, PARSERS, BodyReader, ParserTable, read_nothing
from epp.core.protocol.body import NO_BODY
from epp.core.scheduling.catalogue import CATALOGUE

EVERYTHING = ParserTable(PARSERS)


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        ("/v1/completions", openai.read_completions),
        ("/v1/chat/completions", openai.read_chat_completions),
        ("/completions", openai.read_completions),
        ("/tenant-a/openai/v1/chat/completions", openai.read_chat_completions),
        ("/v1/completions/", openai.read_completions),
        ("//v1//completions", openai.read_completions),
        ("/v1/completions/render", openai.read_completions),
        ("/v1/chat/completions/render", openai.read_chat_completions),
        ("/v1/responses", openai.read_responses),
        ("/v1/conversations", openai.read_conversations),
        ("/v1/embeddings", openai.read_embeddings),
        ("/v1/images/generations", openai.read_images),
        ("/v1/messages", anthropic.read_messages),
        ("/v1/messages/count_tokens", anthropic.read_count_tokens),
        ("/inference/v1/generate", vllm_generate.read_generate),
        ("/generate", sglang_generate.read_generate),
        ("/v1/generate", read_nothing),
        ("/v1/mycompletions", read_nothing),
        ("/v1/chatcompletions", read_nothing),
        ("/v1/completions/5", read_nothing),
        ("/v1/Completions", read_nothing),
        ("/v1/models", read_nothing),
        ("/", read_nothing),
        ("", read_nothing),
    ],
)
def test_paths_are_matched_by_whole_segments(path: str, reader: BodyReader) -> None:
    assert EVERYTHING.reader(path) is reader
    assert EVERYTHING.reads(path) == (reader is not read_nothing)


def test_without_a_fallback_other_paths_have_no_reader() -> None:
    table = ParserTable(["openai-parser"])
    assert table.reader("/v1/completions") is openai.read_completions
    assert table.reader("/v1/messages") is None
    assert table.reader("/tokenize") is None


def test_a_body_that_passes_unread_says_nothing() -> None:
    assert read_nothing(b"anything") == NO_BODY


def test_the_default_parsers_are_the_references() -> None:
    assert ParserTable().names == DEFAULT_PARSERS
    assert ParserTable().reader("/generate") is read_nothing, "SGLang's own API is read on request"


def test_configurations_may_name_exactly_these() -> None:
    in_catalogue = {plugin.name for plugin in CATALOGUE.types if PluginKind.PARSER in plugin.kinds}
    assert in_catalogue == set(PARSERS)
