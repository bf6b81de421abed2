"""Quantities as Kubernetes writes them: `5000`, `1G`, `10Mi`, `1.5e3`."""

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?P<suffix>[a-zA-Z]*|[eE][+-]?[0-9]{1,2})"
)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]+")
_SCALES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


class Quantity(int):
    """A field of the configuration that is written as a number or as a quantity."""

    __slots__ = ()


def parse_quantity(text: str) -> Quantity:
    """The quantity, rounded up to a whole number; raises ValueError, also for negative ones."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a quantity such as 5000, 1G or 10Mi")
    suffix = found["suffix"]
    scale = Decimal(f"1{suffix}") if _EXPONENT.fullmatch(suffix) else _SCALES.get(suffix)
    if scale is None:
        raise ValueError(
            f"{text[:40]!r} has an unknown suffix; known are {', '.join(name for name in _SCALES if name)}"
        )
    return Quantity((Decimal(found["number"]) * scale).to_integral_value(ROUND_CEILING))
