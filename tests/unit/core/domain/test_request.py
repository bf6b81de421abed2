"""What a prompt says of itself, and what a request knows of it."""

import pytest

from epp.core.domain.record import replaced
from epp.core.domain.request import NO_PROMPT, InferenceRequest, MultimodalItem, Prompt, PromptKind

TEXT = InferenceRequest("r", prompt=Prompt(PromptKind.TEXT, b'"hello world"', b"{...}"))
IDS = InferenceRequest("r", prompt=Prompt(PromptKind.TOKEN_IDS, bytes(12)))
PART = '[{"role": "user", "content": [%s]}]'


def has_media(text: str) -> bool:
    return Prompt(PromptKind.TEXT, memoryview(text.encode())).has_media


@pytest.mark.parametrize(
    "part",
    [
        '{"type":"image_url","image_url":{"url":"data:"}}',
        '{"type": "input_audio", "input_audio": {}}',
        '{"type" : "video_url"}',
        '{"type":"audio_url"}',
        '{"type":"input_image","file_id":"f"}',
        '{"type":"image","source":{}}',
        '{"type":"text","text":"look"},\n{"type":\n"image_url"}',
    ],
)
def test_parts_that_are_no_text(part: str) -> None:
    assert has_media(PART % part)


@pytest.mark.parametrize(
    "part",
    [
        '{"type":"text","text":"image_url"}',
        '{"type":"text","text":"{\\"type\\":\\"image_url\\"}"}',
        '{"type":"input_text","text":"a picture"}',
        '{"type":"imageless"}',
    ],
)
def test_parts_that_are_text_whatever_they_say(part: str) -> None:
    assert not has_media(PART % part)


def test_a_message_that_is_one_text() -> None:
    assert not has_media('[{"role":"user","content":"\\"type\\":\\"image_url\\""}]')
    assert not has_media('"image_url"')


def test_without_text_there_is_nothing_to_look_at() -> None:
    assert not NO_PROMPT.has_media
    assert not Prompt(PromptKind.TOKEN_IDS, b'"type":"image"').has_media


def test_a_text_has_token_ids_once_they_were_told_and_is_estimated_before() -> None:
    assert (TEXT.token_ids, TEXT.token_count) == (None, 4)
    told = replaced(TEXT, prompt_tokens=bytes(8))
    assert (told.token_ids, told.token_count) == (bytes(8), 2)


def test_a_prompt_of_token_ids_is_its_own() -> None:
    assert (IDS.token_ids, IDS.token_count) == (bytes(12), 3)


def test_without_its_prompt_a_request_keeps_nothing_large() -> None:
    told = replaced(TEXT, prompt_tokens=bytes(8), multimodal=(MultimodalItem("cat", 0, 1),))
    assert told.without_prompt() == InferenceRequest("r")
