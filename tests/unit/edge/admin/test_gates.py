import asyncio
import functools
from http import HTTPStatus
from pathlib import Path

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import AccessDenied
from epp.edge.admin.gates import ClosedGate, Denial, Gate, OpenGate, TokenFileGate, is_loopback
from epp.edge.admin.gates import gate_for as real_gate_for


def fail(problem: InvalidInput) -> None:
    raise AssertionError(f"the token file is well, but: {problem}")


gate_for = functools.partial(real_gate_for, on_unusable=fail)


def denial(gate: Gate, authorization: str, path: str = "/metrics") -> Denial | None:
    return asyncio.run(gate.refusal(authorization, path))


def refusal(gate: Gate, authorization: str) -> str | None:
    denied = denial(gate, authorization)
    assert denied is None or denied.status == HTTPStatus.UNAUTHORIZED
    return denied.message if denied else None


class Reviewer:
    """AccessReviewer with one answer for everybody."""

    def __init__(self, answer: AccessDenied | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def denied(self, token: str, path: str) -> AccessDenied | None:
        self.asked.append((token, path))
        return self.answer


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert isinstance(gate_for(host, None), OpenGate)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "picker.example", "127.0.0.1.example"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert isinstance(gate_for(host, None), ClosedGate)


def test_without_a_token_everything_but_loopback_is_closed() -> None:
    text = refusal(gate_for("0.0.0.0", None), "Bearer whatever")

    assert text is not None
    assert "--metrics-token-file" in text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_file_is_obeyed_on_every_address(host: str, token_file: Path) -> None:
    gate = gate_for(host, token_file)

    assert refusal(gate, "Bearer s3cret") is None
    assert refusal(gate, "bearer  s3cret ") is None
    assert refusal(gate, "") == "send the token of --metrics-token-file in the header 'Authorization: Bearer <token>'"
    assert refusal(gate, "Bearer wrong") == "the token is not that of --metrics-token-file"
    assert refusal(gate, "Bearer ") == "the token is not that of --metrics-token-file"
    assert refusal(gate, "Basic s3cret") == "the Authorization header must be 'Bearer <token>', not 'Basic'"
    assert refusal(gate, "Bearer s3cr\udcc3t") == "the token is not that of --metrics-token-file"


def test_a_changed_token_counts_at_once(token_file: Path) -> None:
    gate = TokenFileGate(token_file, fail)
    token_file.write_text("another-one")

    assert refusal(gate, "Bearer another-one") is None
    assert refusal(gate, "Bearer s3cret") is not None


def test_a_token_changed_by_renaming_counts_at_once(token_file: Path) -> None:
    gate = TokenFileGate(token_file, fail)
    following = token_file.with_name("following")
    following.write_text("s4cret\n")
    following.replace(token_file)

    assert refusal(gate, "Bearer s4cret") is None


def test_a_lost_token_file_leaves_the_last_token_in_force_and_is_told_once(token_file: Path) -> None:
    told: list[InvalidInput] = []
    gate = TokenFileGate(token_file, told.append)
    token_file.unlink()

    assert refusal(gate, "Bearer s3cret") is None
    assert refusal(gate, "Bearer s3cret") is None
    assert refusal(gate, "Bearer ") is not None

    (problem,) = told
    assert str(token_file) in str(problem)


def test_an_emptied_token_file_lets_nobody_in_without_a_token(token_file: Path) -> None:
    gate = TokenFileGate(token_file, print)
    token_file.write_text("")

    assert refusal(gate, "Bearer ") is not None
    assert refusal(gate, "Bearer s3cret") is None


def test_a_missing_token_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        TokenFileGate(tmp_path / "nowhere", fail)

    assert str(caught.value) == f"{tmp_path}/nowhere: --metrics-token-file: cannot be read: No such file or directory"


def test_an_empty_token_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" \n")

    with pytest.raises(InvalidInput, match="is empty; write the token into it"):
        TokenFileGate(tmp_path / "token", fail)


def test_a_reviewer_is_asked_with_token_and_path_on_every_address() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        reviewer = Reviewer(None)
        assert denial(gate_for(host, None, reviewer), "Bearer abc", "/debug/config") is None
        assert reviewer.asked == [("abc", "/debug/config")]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (AccessDenied("who?", is_unknown=True), HTTPStatus.UNAUTHORIZED),
        (AccessDenied("not you"), HTTPStatus.FORBIDDEN),
        (AccessDenied("nobody there", is_unavailable=True), HTTPStatus.SERVICE_UNAVAILABLE),
    ],
)
def test_what_a_reviewer_says_becomes_a_status(answer: AccessDenied, status: HTTPStatus) -> None:
    assert denial(gate_for("0.0.0.0", None, Reviewer(answer)), "Bearer abc") == Denial(answer.message, status)


def test_a_reviewer_is_not_asked_without_a_token() -> None:
    reviewer = Reviewer(None)
    gate = gate_for("0.0.0.0", None, reviewer)
    assert "send the token of a user or service account" in (refusal(gate, "") or "")
    assert refusal(gate, "Bearer ") == "the token in the Authorization header is empty"
    assert refusal(gate, "Basic abc") == "the Authorization header must be 'Bearer <token>', not 'Basic'"
    assert reviewer.asked == []


def test_a_token_file_goes_before_a_reviewer(token_file: Path) -> None:
    reviewer = Reviewer(AccessDenied("not you"))
    assert refusal(gate_for("0.0.0.0", token_file, reviewer), "Bearer s3cret") is None
    assert reviewer.asked == []


def test_an_operator_may_open_the_pages_to_everybody() -> None:
    assert isinstance(gate_for("0.0.0.0", None, is_open=True), OpenGate)
