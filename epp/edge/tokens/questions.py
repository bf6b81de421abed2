"""From a client's body to what a tokenizer is asked, and back from its answer. Nothing here opens a connection.

/tokenize is sent the fields that decide what the prompt looks like; a render service is sent the whole body.
"""

import msgspec
import numpy as np

from epp.core.domain.errors import PickerError
from epp.core.domain.request import InferenceRequest, MultimodalItem, PromptKind
from epp.core.protocol.apis.mm_features import Features, items_of

RENDERED_FIELDS = (
    "model",
    "prompt",
    "messages",
    "tools",
    "add_special_tokens",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "chat_template_kwargs",
)
"""of /tokenize (vllm/entrypoints/serve/tokenize/protocol.py)"""
STREAM_FIELDS = ("stream", "stream_options")
_MULTIMODAL_PARTS = (
    b'"image_url"',
    b'"input_audio"',
    b'"audio_url"',
    b'"video_url"',
    b'"image_embeds"',
    b'"image_pil"',
)
_CHAT, _COMPLETIONS = ["chat", "completions"], ["completions"]

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode


class TokensUnknown(PickerError):
    """Nobody can tell the token ids of this prompt; `is_fault` when the tokenizer is to blame and not the prompt."""

    def __init__(self, problem: str, *, is_fault: bool = True) -> None:
        super().__init__(problem)
        self.is_fault = is_fault


class Told(msgspec.Struct, frozen=True):
    """An answer."""

    token_ids: bytes
    """little-endian uint32"""
    multimodal: tuple[MultimodalItem, ...] = ()


class _Rendered(msgspec.Struct):
    token_ids: list[int]
    features: Features | None = None


class _Tokenized(msgspec.Struct):
    tokens: list[int]


_decode_tokenized = msgspec.json.Decoder(_Tokenized).decode
_decode_rendered = msgspec.json.Decoder(_Rendered).decode
_decode_rendered_list = msgspec.json.Decoder(list[_Rendered]).decode


def is_chat(request: InferenceRequest) -> bool:
    """Whether its prompt is messages for a chat template."""
    return request.path.rstrip("/").split("/")[-2:] == _CHAT


def is_text(request: InferenceRequest) -> bool:
    """Whether the request has a prompt that a vLLM tokenizer takes: completions and chat completions."""
    has_text = request.prompt.kind is PromptKind.TEXT and bool(request.prompt.body)
    return has_text and request.path.rstrip("/").split("/")[-1:] == _COMPLETIONS


def is_multimodal(request: InferenceRequest) -> bool:
    """Whether there may be more than text in it; a text that speaks of these fields counts too."""
    body = bytes(request.prompt.body)
    return is_chat(request) and any(part in body for part in _MULTIMODAL_PARTS)


def plain_text(request: InferenceRequest) -> str:
    """The prompt of a completion, of several the first; raises TokensUnknown."""
    try:
        return _decode_text(_first_prompt(_members(request)["prompt"]))
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TokensUnknown(f"no text to tokenize: {error}", is_fault=False) from error


def tokenize_body(request: InferenceRequest, model: str) -> bytes:
    """Body for /tokenize, for the request's own model where `model` is empty; raises TokensUnknown."""
    members = _members(request)
    body = {name: members[name] for name in RENDERED_FIELDS if name in members}
    if "prompt" in body:
        body["prompt"] = _first_prompt(body["prompt"])
    return _encode(_with_model(body, model))


def render_body(request: InferenceRequest, model: str) -> bytes:
    """Body for a render service; raises TokensUnknown."""
    members = _members(request)
    return _encode(_with_model({name: members[name] for name in members if name not in STREAM_FIELDS}, model))


def read_tokenized(answer: bytes) -> Told:
    """An answer of /tokenize; raises TokensUnknown."""
    try:
        return Told(_packed(_decode_tokenized(answer).tokens))
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise TokensUnknown(f"not an answer of /tokenize: {error}") from error


def read_rendered(answer: bytes, *, chat: bool) -> Told:
    """An answer of a render service, of several prompts the first; raises TokensUnknown."""
    try:
        rendered = _decode_rendered(answer) if chat else _decode_rendered_list(answer)[0]
        return Told(_packed(rendered.token_ids), _items(rendered.features))
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, IndexError) as error:
        raise TokensUnknown(f"not an answer of a render service: {error}") from error


def _members(request: InferenceRequest) -> dict[str, msgspec.Raw]:
    try:
        return _decode_members(request.prompt.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TokensUnknown(f"the body cannot be taken apart: {error}", is_fault=False) from error


def _first_prompt(raw: msgspec.Raw) -> msgspec.Raw:
    """A text as it is, of a list of texts the first."""
    if bytes(memoryview(raw)[:1]) != b"[":
        return raw
    try:
        return _decode_items(raw)[0]
    except (msgspec.MsgspecError, IndexError) as error:
        raise TokensUnknown(f"no first prompt: {error}", is_fault=False) from error


def _with_model(body: dict[str, msgspec.Raw], model: str) -> dict[str, msgspec.Raw]:
    if model:
        body["model"] = msgspec.Raw(_encode(model))
    return body


def _packed(ids: list[int]) -> bytes:
    return np.array(ids, dtype="<u4").tobytes()


def _items(features: Features | None) -> tuple[MultimodalItem, ...]:
    items = items_of(features)
    if items is None:
        raise TokensUnknown("the render service does not say what the multimodal items are")
    return items
