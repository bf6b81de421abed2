"""What a request knows of its prompt."""

import msgspec

from epp.core.domain.request import InferenceRequest, MultimodalItem, Prompt, PromptKind

TEXT = InferenceRequest("r", prompt=Prompt(PromptKind.TEXT, b'"hello world"', b"{...}"))
IDS = InferenceRequest("r", prompt=Prompt(PromptKind.TOKEN_IDS, bytes(12)))


def test_a_text_has_token_ids_once_they_were_told_and_is_estimated_before() -> None:
    assert (TEXT.token_ids, TEXT.token_count) == (None, 4)
    told = msgspec.structs.replace(TEXT, prompt_tokens=bytes(8))
    assert (told.token_ids, told.token_count) == (bytes(8), 2)


def test_a_prompt_of_token_ids_is_its_own() -> None:
    assert (IDS.token_ids, IDS.token_count) == (bytes(12), 3)


def test_without_its_prompt_a_request_keeps_nothing_large() -> None:
    told = msgspec.structs.replace(TEXT, prompt_tokens=bytes(8), multimodal=(MultimodalItem("cat", 0, 1),))
    assert told.without_prompt() == InferenceRequest("r")
