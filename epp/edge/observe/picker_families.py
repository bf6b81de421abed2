"""The families of the picker processes, where there are several: how each of them does."""

from collections.abc import Sequence

import msgspec

from epp.edge.observe.exposition import Series
from epp.edge.observe.families import Exposed, Family

_PICKER = (("picker", 0),)
SERVING = Family(
    "gauge", "Picker processes that take requests (`--workers`).", own=Exposed("epp_picker_processes_serving")
)
RESTARTS = Family(
    "counter",
    "Picker processes that ended by themselves and were started anew.",
    own=Exposed("epp_picker_process_restarts_total"),
)
SILENT = Family(
    "counter",
    "Picker processes that did not answer in time when a page was asked for; the page shows what they told last.",
    own=Exposed("epp_picker_process_silences_total"),
)
CPU = Family(
    "gauge",
    "CPU seconds of a picker process since it was started.",
    own=Exposed("epp_picker_process_cpu_seconds", _PICKER),
)
RESIDENT = Family("gauge", "Memory of a picker process.", own=Exposed("epp_picker_process_resident_bytes", _PICKER))
REQUESTS = Family(
    "counter",
    "Requests that a picker process has given an endpoint, since it was started.",
    own=Exposed("epp_picker_process_requests_total", _PICKER),
)
PICKER_STREAMS = Family(
    "gauge", "Open ext_proc streams of a picker process.", own=Exposed("epp_picker_process_streams_open", _PICKER)
)


class PickerNumbers(msgspec.Struct, frozen=True):
    """Of one process."""

    picker: int
    requests: int
    cpu_s: float
    resident_bytes: int
    streams_open: int


class ProcessNumbers(msgspec.Struct, frozen=True):
    """Of all of them."""

    serving: int
    restarts: int
    silences: int
    pickers: Sequence[PickerNumbers]


def process_series(numbers: ProcessNumbers | None) -> list[tuple[Family, list[Series]]]:
    """Every family with its series; nothing where one process does everything."""
    if numbers is None:
        return []
    each = [((str(one.picker),), one) for one in numbers.pickers]
    return [
        (SERVING, [((), numbers.serving)]),
        (RESTARTS, [((), numbers.restarts)]),
        (SILENT, [((), numbers.silences)]),
        (REQUESTS, [(key, one.requests) for key, one in each]),
        (CPU, [(key, one.cpu_s) for key, one in each]),
        (RESIDENT, [(key, one.resident_bytes) for key, one in each]),
        (PICKER_STREAMS, [(key, one.streams_open) for key, one in each]),
    ]
