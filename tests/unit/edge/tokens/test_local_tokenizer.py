"""A tokenizer.json of a few words."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from epp.core.domain.errors import InvalidInput
from epp.edge.tokens.local_tokenizer import MOST_WAITING, LocalTokenizer
from epp.edge.tokens.questions import TokensUnknown, Told
from tests.support.token_requests import chat, completion

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Knows `hello` and `world`; everything else is word 0."""
    vocabulary = {"[UNK]": 0, "hello": 1, "world": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    return str(file)


async def ask(tokenizer: LocalTokenizer, prompt: str, timeout_s: float = 5.0) -> Told:
    request = completion(prompt)
    deadline = asyncio.get_running_loop().time() + timeout_s
    return await tokenizer.tell(request, tokenizer.question(request), deadline)


async def test_a_prompt(path: str) -> None:
    tokenizer = LocalTokenizer(path, 5.0)
    assert tokenizer.can_tell(completion())
    assert tokenizer.timeout_s(completion()) == 5.0
    assert await ask(tokenizer, "hello grüß world") == Told(np.array([1, 0, 2], dtype="<u4").tobytes())
    await tokenizer.close()


async def test_chat_is_not_for_it(path: str) -> None:
    tokenizer = LocalTokenizer(path, 5.0)
    assert not tokenizer.can_tell(chat())
    await tokenizer.close()


async def test_a_text_that_is_none(path: str) -> None:
    tokenizer = LocalTokenizer(path, 5.0)
    with pytest.raises(TokensUnknown) as unknown:
        await tokenizer.tell(completion(), b"\xff", asyncio.get_running_loop().time() + 5.0)
    assert not unknown.value.is_fault
    await tokenizer.close()


async def test_only_so_many_texts_wait(path: str) -> None:
    tokenizer = LocalTokenizer(path, 5.0)
    asking = [asyncio.create_task(ask(tokenizer, "hello")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert not tokenizer.can_tell(completion())
    await asyncio.gather(*asking)
    await asyncio.sleep(0)
    assert tokenizer.can_tell(completion())
    await tokenizer.close()


async def test_the_deadline(path: str) -> None:
    tokenizer = LocalTokenizer(path, 5.0)
    with pytest.raises(TokensUnknown, match="in time"):
        await ask(tokenizer, "hello", timeout_s=-1.0)
    await tokenizer.close()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no tokenizer can be read"):
        LocalTokenizer(str(tmp_path / "missing.json"), 1.0)
    file = tmp_path / "other.json"
    file.write_text("{}")
    with pytest.raises(InvalidInput, match="no tokenizer can be read"):
        LocalTokenizer(str(file), 1.0)


def test_without_the_package(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(InvalidInput, match="extra of that name"):
        LocalTokenizer(path, 1.0)
