"""Who reads the body of which path."""

import pytest

from epp.core.config.catalogue import PluginKind
from epp.core.protocol.apis import anthropic, openai, sglang_generate, vertex_ai, vllm_generate, vllm_grpc
from epp.core.protocol.apis.parsers import DEFAULT_PARSERS, LONGEST_PATH, PARSERS, BodyReader, ParserTable, read_nothing
from epp.core.protocol.body import NO_BODY
from epp.core.protocol.grpc_usage import VertexUsageReader, VllmEmbedUsageReader, VllmGenerateUsageReader
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
        ("/vllm.grpc.engine.VllmEngine/Generate", vllm_grpc.read_generate),
        ("/vllm.grpc.engine.VllmEngine/Embed", vllm_grpc.read_embed),
        ("/google.cloud.aiplatform.v1beta1.PredictionService/ChatCompletions", vertex_ai.read_chat_completions),
        ("/google.cloud.aiplatform.v1.PredictionService/RawPredict", vertex_ai.read_raw_predict),
        ("/PredictionService/StreamRawPredict", vertex_ai.read_raw_predict),
        ("/vllm.grpc.engine.VllmEngine/HealthCheck", read_nothing),
        ("/other.VllmEngine/Generate", read_nothing),
        ("/v1/vllm.grpc.engine.VllmEngine/Generate", read_nothing),
        ("/a.OtherPredictionService/RawPredict", read_nothing),
        ("/google.cloud.aiplatform.v1.PredictionService/Predict", read_nothing),
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


def test_with_a_grpc_parser_other_methods_pass_unread() -> None:
    table = ParserTable(["vllmgrpc-parser"])
    assert table.reader("/vllm.grpc.engine.VllmEngine/GetModelInfo") is read_nothing
    assert table.reader("/grpc.health.v1.Health/Check") is read_nothing
    assert not table.reads("/grpc.health.v1.Health/Check")
    assert table.reader("/v1/completions") is None
    assert ParserTable(["openai-parser"]).reader("/grpc.health.v1.Health/Check") is None


def test_who_reads_the_usage_of_a_grpc_answer() -> None:
    assert isinstance(EVERYTHING.grpc_usage("/vllm.grpc.engine.VllmEngine/Generate"), VllmGenerateUsageReader)
    assert isinstance(EVERYTHING.grpc_usage("/vllm.grpc.engine.VllmEngine/Embed"), VllmEmbedUsageReader)
    assert isinstance(EVERYTHING.grpc_usage("/x.PredictionService/RawPredict"), VertexUsageReader)
    assert EVERYTHING.grpc_usage("/vllm.grpc.engine.VllmEngine/GetModelInfo") is None
    assert EVERYTHING.grpc_usage("/v1/completions") is None


def test_which_parsers_fit_which_pool() -> None:
    assert ParserTable().unfit_for("http") == ParserTable().unfit_for("kubernetes.io/h2c") == ()
    assert EVERYTHING.unfit_for("kubernetes.io/h2c") == ()
    assert EVERYTHING.unfit_for("http") == ("vllmgrpc-parser", "vertexai-parser")


def test_a_body_that_passes_unread_says_nothing() -> None:
    assert read_nothing(b"anything") == NO_BODY


def test_the_default_parsers_are_the_references() -> None:
    assert ParserTable().names == DEFAULT_PARSERS
    assert ParserTable().reader("/generate") is read_nothing, "SGLang's own API is read on request"


def test_configurations_may_name_exactly_these() -> None:
    in_catalogue = {plugin.name for plugin in CATALOGUE.types if PluginKind.PARSER in plugin.kinds}
    assert in_catalogue == set(PARSERS)


def test_a_long_path_says_nothing_about_a_shorter_one_that_begins_like_it() -> None:
    table = ParserTable()
    beginning = "/v1/" + "a" * (LONGEST_PATH - len("/v1/"))
    assert table.reads(f"{beginning}/v1/completions")
    assert not table.reads(beginning)
    assert table.reads(f"{beginning}/v1/completions")
