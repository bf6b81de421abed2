import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from epp.core.domain.errors import InvalidInput
from epp.edge.admin.gates import ClosedGate, Gate, OpenGate, TokenFileGate, gate_for, is_loopback


def refusal(gate: Gate, authorization: str) -> str | None:
    return asyncio.run(gate.refusal(authorization))


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
    gate = TokenFileGate(token_file)
    token_file.write_text("another-one")

    assert refusal(gate, "Bearer another-one") is None
    assert refusal(gate, "Bearer s3cret") is not None


def test_a_token_changed_by_renaming_counts_at_once(token_file: Path) -> None:
    gate = TokenFileGate(token_file)
    following = token_file.with_name("following")
    following.write_text("s4cret\n")
    following.replace(token_file)

    assert refusal(gate, "Bearer s4cret") is None


def test_a_lost_token_file_leaves_the_last_token_in_force_and_is_logged_once(token_file: Path) -> None:
    with capture_logs() as lines:
        gate = TokenFileGate(token_file)
        token_file.unlink()

        assert refusal(gate, "Bearer s3cret") is None
        assert refusal(gate, "Bearer s3cret") is None
        assert refusal(gate, "Bearer ") is not None

    (line,) = lines
    assert str(token_file) in line["problem"]


def test_an_emptied_token_file_lets_nobody_in_without_a_token(token_file: Path) -> None:
    with capture_logs():
        gate = TokenFileGate(token_file)
        token_file.write_text("")

        assert refusal(gate, "Bearer ") is not None
        assert refusal(gate, "Bearer s3cret") is None


def test_a_missing_token_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        TokenFileGate(tmp_path / "nowhere")

    assert str(caught.value) == f"{tmp_path}/nowhere: --metrics-token-file: cannot be read: No such file or directory"


def test_an_empty_token_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" \n")

    with pytest.raises(InvalidInput, match="is empty; write the token into it"):
        TokenFileGate(tmp_path / "token")
