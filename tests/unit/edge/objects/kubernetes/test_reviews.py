"""Who may read a page: what the API server is asked, what its answers mean, and for how long they count."""

import asyncio
from typing import Any

import pytest

from epp.core.domain.ports import AccessDenied
from epp.edge.objects.kubernetes.errors import Unreachable
from epp.edge.objects.kubernetes.reviews import (
    ALLOWED_FOR_S,
    DENIED_FOR_S,
    MOST_REMEMBERED,
    STILL_ALLOWED_FOR_S,
    KubernetesReviewer,
)
from tests.support.recorded_api import Answer, RecordedApi
from tests.support.scripted_api import refused

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SCRAPER = {"username": "system:serviceaccount:gmp:collector", "uid": "1", "groups": ["system:serviceaccounts"]}


class Reviewed:
    """A reviewer in front of a server that knows the token `good`, and lets its owner read /metrics."""

    def __init__(self) -> None:
        self.now = 0.0
        self.trouble: Answer | None = None
        self.api = RecordedApi(self._answer)
        self.reviewer = KubernetesReviewer(self.api.as_server(), lambda: self.now)

    async def denied(self, token: str = "good", path: str = "/metrics") -> AccessDenied | None:  # noqa: S107
        return await self.reviewer.denied(token, path)

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        assert method == "POST"
        if self.trouble is not None:
            return self.trouble
        spec = body["spec"]
        if path == TOKENS:
            known = spec["token"].startswith("good")
            return {"status": {"authenticated": True, "user": SCRAPER} if known else {"error": "no"}}
        assert path == ACCESS
        return {"status": {"allowed": spec["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}}}


async def test_both_questions_are_asked_with_who_and_what() -> None:
    reviewed = Reviewed()
    assert await reviewed.denied() is None
    (_, _, token), (_, _, access) = reviewed.api.asked
    assert token == {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "good"}}
    assert access["spec"]["user"] == SCRAPER["username"]
    assert (access["spec"]["uid"], access["spec"]["groups"]) == ("1", ["system:serviceaccounts"])


async def test_an_unknown_token_and_a_user_without_the_right() -> None:
    reviewed = Reviewed()
    unknown = await reviewed.denied("bad")
    assert unknown is not None
    assert unknown.is_unknown
    assert [path for _, path, _ in reviewed.api.asked] == [TOKENS], "nobody needs to know what nobody may"
    forbidden = await reviewed.denied(path="/debug/config")
    assert forbidden is not None
    assert not forbidden.is_unknown
    assert forbidden.message == (
        "user system:serviceaccount:gmp:collector may not get /debug/config: bind it to a ClusterRole with "
        "nonResourceURLs [/debug/config] and verbs [get]"
    )


async def test_answers_are_remembered_for_a_while() -> None:
    reviewed = Reviewed()
    for _ in range(3):
        await reviewed.denied()
        await reviewed.denied("bad")
    assert len(reviewed.api.asked) == 3
    reviewed.now += DENIED_FOR_S
    await reviewed.denied("bad")
    await reviewed.denied()
    assert len(reviewed.api.asked) == 4
    reviewed.now += ALLOWED_FOR_S
    await reviewed.denied()
    assert len(reviewed.api.asked) == 6


async def test_many_at_once_cost_one_question() -> None:
    reviewed = Reviewed()
    assert await asyncio.gather(*(reviewed.denied() for _ in range(20))) == [None] * 20
    assert len(reviewed.api.asked) == 2


async def test_one_who_gives_up_takes_nobody_along() -> None:
    reviewed = Reviewed()
    first, second = asyncio.ensure_future(reviewed.denied()), asyncio.ensure_future(reviewed.denied())
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None


async def test_while_the_server_is_away_those_who_were_let_in_are_let_in_still() -> None:
    reviewed = Reviewed()
    await reviewed.denied()
    await reviewed.denied("bad")
    reviewed.trouble = Unreachable("https://api.test cannot be asked: refused")
    reviewed.now += STILL_ALLOWED_FOR_S - 1
    assert await reviewed.denied() is None
    for token in ("bad", "good-but-new"):
        denied = await reviewed.denied(token)
        assert denied is not None
        assert denied.is_unavailable
        assert "https://api.test cannot be asked" in denied.message
    reviewed.now += 2
    denied = await reviewed.denied()
    assert denied is not None
    assert denied.is_unavailable
    reviewed.trouble = None
    assert await reviewed.denied() is None, "and at once when it is back"


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (refused(403, "cannot create tokenreviews"), "needs the verb create on tokenreviews and subjectaccessreviews"),
        (b"<html>", "the answer is no TokenReview"),
    ],
)
async def test_a_picker_that_may_not_ask(trouble: Answer, says: str) -> None:
    reviewed = Reviewed()
    reviewed.trouble = trouble
    denied = await reviewed.denied()
    assert denied is not None
    assert denied.is_unavailable
    assert says in denied.message


async def test_what_is_remembered_is_bounded() -> None:
    reviewed = Reviewed()
    for number in range(MOST_REMEMBERED + 10):
        await reviewed.denied(f"bad-{number}")
    assert len(reviewed.reviewer._remembered) == MOST_REMEMBERED
