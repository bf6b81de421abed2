"""A pair that follows its directory: whole versions only, looked at now and then."""

from pathlib import Path

import pytest
import trustme
from cryptography import x509

from epp.core.domain.errors import InvalidInput
from epp.edge.certificates.followed_pair import CHECK_EVERY_S, FollowedPair
from tests.support.pairs import write_pair


class Followed:
    def __init__(self, directory: Path | None, *, reload: bool = True) -> None:
        self.now = 0.0
        self.problems: list[str] = []
        self.pair = FollowedPair(
            directory,
            reload=reload,
            clock=lambda: self.now,
            on_problem=lambda problem: self.problems.append(str(problem)),
        )

    def after_a_while(self) -> bytes:
        self.now += CHECK_EVERY_S
        return self.pair.current()[1]


def test_a_self_signed_pair_never_changes() -> None:
    followed = Followed(None)
    assert not followed.pair.may_change
    certificate = x509.load_pem_x509_certificate(followed.pair.current()[1])
    assert certificate.issuer == certificate.subject
    assert followed.after_a_while() == followed.pair.current()[1]


def test_a_changed_pair_is_taken_over_when_it_is_time_to_look(tmp_path: Path) -> None:
    ca = trustme.CA()
    write_pair(ca, tmp_path)
    followed = Followed(tmp_path)
    first = followed.pair.current()
    write_pair(ca, tmp_path)
    assert followed.pair.current() == first
    assert followed.after_a_while() == (tmp_path / "tls.crt").read_bytes() != first[1]
    assert followed.problems == []


@pytest.mark.parametrize("half", ["tls.key", "tls.crt"])
def test_half_a_pair_is_complained_of_once_and_not_used(tmp_path: Path, half: str) -> None:
    ca = trustme.CA()
    write_pair(ca, tmp_path)
    followed = Followed(tmp_path)
    first = followed.pair.current()[1]
    write_pair(ca, tmp_path, only=half)
    assert followed.after_a_while() == first
    assert followed.after_a_while() == first
    assert followed.problems == [f"{tmp_path}/tls.key: does not belong to the certificate in tls.crt"]


def test_a_file_that_is_cut_off_or_missing(tmp_path: Path) -> None:
    write_pair(trustme.CA(), tmp_path)
    followed = Followed(tmp_path)
    first = followed.pair.current()[1]
    (tmp_path / "tls.crt").write_bytes(first[:100])
    assert followed.after_a_while() == first
    (tmp_path / "tls.crt").unlink()
    assert followed.after_a_while() == first
    assert [problem.partition(": ")[2] for problem in followed.problems] == [
        "is not a PEM certificate",
        "cannot be read: No such file or directory",
    ]


def test_without_reload_nothing_is_looked_at(tmp_path: Path) -> None:
    ca = trustme.CA()
    write_pair(ca, tmp_path)
    followed = Followed(tmp_path, reload=False)
    first = followed.pair.current()[1]
    write_pair(ca, tmp_path)
    assert not followed.pair.may_change
    assert followed.after_a_while() == first


def test_a_start_without_a_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tls\.key: cannot be read"):
        Followed(tmp_path)
