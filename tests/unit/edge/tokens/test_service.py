"""The token service over a teller that answers when the test says so."""

import asyncio

import pytest

from epp.core.domain.request import InferenceRequest, MultimodalItem
from epp.edge.tokens.questions import TokensUnknown, Told, tokenize_body
from epp.edge.tokens.service import WAITING_PER_PLACE, TokenService
from tests.support.eventually import eventually
from tests.support.token_requests import chat, completion

TOLD = Told(b"\x01\0\0\0", (MultimodalItem("cat", 0, 1),))


class ScriptedTeller:
    """Teller with one answer for all, once there is one."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        self.answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self.asked: list[bytes] = []
        self.under_way = 0
        self.most_under_way = 0
        self.is_ready = True
        self.limit_s = timeout_s

    def can_tell(self, request: InferenceRequest) -> bool:
        return self.is_ready

    def timeout_s(self, request: InferenceRequest) -> float:
        return self.limit_s

    def question(self, request: InferenceRequest) -> bytes:
        return tokenize_body(request, "")

    async def tell(self, request: InferenceRequest, question: bytes, deadline: float) -> Told:
        self.asked.append(question)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await asyncio.shield(self.answer)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        return


class Story:
    def __init__(self, *, most_at_once: int = 2, timeout_s: float = 5.0) -> None:
        self.teller = ScriptedTeller(timeout_s)
        self.problems: list[str] = []
        self.is_useful = True
        self.service = TokenService(
            self.teller,
            is_useful=lambda: self.is_useful,
            on_problem=self.problems.append,
            most_at_once=most_at_once,
            cache_bytes=10_000,
        )


async def test_the_request_gets_what_was_told() -> None:
    story = Story()
    story.teller.answer.set_result(TOLD)
    request = await story.service.with_tokens(completion())
    assert (request.prompt_tokens, request.multimodal) == (TOLD.token_ids, TOLD.multimodal)
    assert request.token_ids == TOLD.token_ids
    assert request.token_count == 1


async def test_the_same_prompt_is_asked_for_once() -> None:
    story = Story()
    story.teller.answer.set_result(TOLD)
    for request in (completion(), completion(max_tokens=7), completion("another"), chat()):
        assert (await story.service.with_tokens(request)).prompt_tokens == TOLD.token_ids
    assert len(story.teller.asked) == 3


async def test_only_texts_of_somebody_with_a_use_for_tokens_are_asked_for() -> None:
    story = Story()
    assert story.service.wants(completion())
    assert not story.service.wants(completion([1, 2]))
    story.is_useful = False
    assert not story.service.wants(completion())
    story.is_useful, story.teller.is_ready = True, False
    assert not story.service.wants(completion())


async def test_who_cannot_tell_leaves_the_request_as_it_was() -> None:
    story = Story()
    story.teller.answer.set_exception(TokensUnknown("no idea"))
    request = completion()
    assert await story.service.with_tokens(request) is request
    assert story.problems == ["no idea"]


async def test_a_fault_of_ours_leaves_the_request_as_it_was() -> None:
    story = Story()
    story.teller.answer.set_exception(RuntimeError("oops"))
    request = completion()
    assert await story.service.with_tokens(request) is request
    assert story.problems == ["RuntimeError: oops"]


async def test_never_more_at_once_than_allowed_and_nobody_waits_behind_too_many() -> None:
    story = Story(most_at_once=2)
    tasks = [
        asyncio.create_task(story.service.with_tokens(completion(f"prompt {number}")))
        for number in range(2 * (1 + WAITING_PER_PLACE))
    ]
    await eventually(lambda: story.teller.under_way == 2)
    assert not story.service.wants(completion())
    story.teller.answer.set_result(TOLD)
    await asyncio.gather(*tasks)
    assert story.teller.most_under_way == 2
    assert story.service.wants(completion())


async def test_the_wait_for_a_turn_counts_too() -> None:
    story = Story(most_at_once=1, timeout_s=0.02)
    first = asyncio.create_task(story.service.with_tokens(completion("one")))
    await eventually(lambda: story.teller.under_way)
    request = completion("two")
    assert await story.service.with_tokens(request) is request
    assert story.problems == ["too many questions are under way"]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    story.teller.answer.set_result(TOLD)
    assert (await story.service.with_tokens(completion("three"))).prompt_tokens == TOLD.token_ids
