"""session-id-producer: headers, cookies, and the session affinity that uses it."""

import msgspec
import pytest

from epp.core.scheduling.producers.session_id import SessionIdProducer, SessionIdProducerParameters, cookie_value
from epp.core.scheduling.session_bonds import SessionAffinityParameters, bond_of
from epp.core.scheduling.session_token import NO_KEY
from tests.support.small_pool import SmallPool


def session_of(headers: dict[str, str], **parameters: str) -> str:
    pool = SmallPool(1)
    producer = SessionIdProducer(msgspec.convert(parameters, SessionIdProducerParameters))
    return producer.produce(pool.cycle(headers=headers), pool.candidates)


def test_from_a_header_however_it_is_written() -> None:
    assert session_of({"x-session-id": "s"}, headerName="X-Session-ID") == "s"
    assert session_of({"cookie": "X-Session-ID=s"}, headerName="X-Session-ID") == ""


def test_from_a_cookie() -> None:
    assert session_of({"cookie": "a=1; session=s; session=t"}, cookieName="session") == "s"
    assert session_of({"session": "s"}, cookieName="session") == ""


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("session=s", "s"),
        ("a=1;session=s", "s"),
        ("a=1,session=s", "s"),
        ('session="s"', "s"),
        ("session= s ", "s"),
        ("session=a=b", "a=b"),
        ("Session=s", ""),
        ("mysession=s", ""),
        ("session", ""),
        ("", ""),
        (";;==,", ""),
    ],
)
def test_cookies(header: str, value: str) -> None:
    assert cookie_value(header, "session") == value


@pytest.mark.parametrize("parameters", [{}, {"headerName": "h", "cookieName": "c"}])
def test_exactly_one_source(parameters: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="set either headerName or cookieName"):
        msgspec.convert(parameters, SessionIdProducerParameters)


def test_session_affinity_takes_the_id_from_it() -> None:
    pool = SmallPool(2)
    bond = bond_of(SessionAffinityParameters(session_id_producer_name="ids"), NO_KEY)
    bond.picked(pool.cycle(ids="s"), pool.ledger.reserve(pool.slot(1), tokens=1))
    assert bond.bound_slot(pool.cycle(ids="s")) == pool.slot(1)
    assert bond.bound_slot(pool.cycle(ids="t")) is None
    assert bond.bound_slot(pool.cycle(ids="")) is None
    assert bond.bound_slot(pool.cycle(headers={"x-session-id": "s"})) is None, "the producer alone counts"
