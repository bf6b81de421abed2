"""Settings of flow control."""

from collections.abc import Callable, Mapping

import msgspec

from epp.core.flow.band import BandLimits, FairnessPolicy, OrderingPolicy
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.ordering.fcfs import FcfsOrdering

NO_BANDS: Mapping[int, "BandSettings"] = {}


class BandSettings(msgspec.Struct, frozen=True):
    """How the bands of some priorities work."""

    limits: BandLimits = BandLimits()
    new_fairness: Callable[[], FairnessPolicy] = GlobalStrictFairness
    """called once per band"""
    ordering: OrderingPolicy = FcfsOrdering()


class FlowSettings(msgspec.Struct, frozen=True):
    """Everything that does not change while requests wait. Defaults of the reference (v0.10)."""

    bands: Mapping[int, BandSettings] = NO_BANDS
    """by priority"""
    default_band: BandSettings = BandSettings()
    """for priorities >= 0 that have no settings"""
    default_negative_band: BandSettings = BandSettings()
    limits: BandLimits = BandLimits(max_bytes=0, max_requests=0)
    """of all bands together"""
    default_ttl_s: float = 60.0
    """waiting time while the pool has endpoints; 0: no limit"""
    no_endpoint_ttl_s: float | None = None
    """waiting time while the pool has none; None: as `default_ttl_s`, 0: no limit"""
    idle_flow_s: float = 300.0
    idle_band_s: float = 600.0
    ask_again_s: float = 0.005
    """when a band is closed by a policy that opens it from time to time"""
    most_idle_flows: int = 1_000
    most_dynamic_bands: int = 256

    def band(self, priority: int) -> BandSettings:
        """The settings for a priority."""
        default = self.default_band if priority >= 0 else self.default_negative_band
        return self.bands.get(priority, default)
