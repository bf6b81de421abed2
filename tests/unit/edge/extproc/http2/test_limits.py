"""The limits, the token bucket behind some of them, and the page that tells of them."""

import re
from pathlib import Path

import msgspec

from epp.edge.extproc.http2.limits import Allowance, Http2Limits
from epp.edge.extproc.native_transport import NativeSettings

PAGE = Path(__file__).resolve().parents[5] / "docs" / "operations.md"


def test_the_page_tells_every_limit() -> None:
    text = PAGE.read_text()
    told = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.MULTILINE)
    assert {name: float(value.replace(",", "")) for name, value in told} == msgspec.structs.asdict(Http2Limits())
    assert f"At most {NativeSettings('', 0, 0).most_connections:,} connections" in text


def test_an_allowance_comes_back_with_time_up_to_its_burst() -> None:
    allowance = Allowance(rate_per_s=2.0, burst=3.0, now=100.0)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]
    allowance = Allowance(rate_per_s=2.0, burst=3.0, now=100.0)
    assert all(allowance.take(100.0) for _ in range(3))
    assert allowance.take(100.5)
    assert not allowance.take(100.5)
    assert [allowance.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_some_things_cost_more() -> None:
    assert Allowance(1.0, 3.0, 0.0).take(0.0, 3.0)
    assert not Allowance(1.0, 3.0, 0.0).take(0.0, 3.5)
