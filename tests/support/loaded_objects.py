"""What the picker makes of a directory of objects that has to be without fault."""

from pathlib import Path

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectState
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.findings import Notice
from epp.edge.objects.object_store import WantedPool


class _LastState:
    def __init__(self) -> None:
        self.state = ObjectState(None, ())

    def objects_changed(self, state: ObjectState) -> None:
        self.state = state


def loaded_objects(directory: Path) -> ObjectState:
    """The state; AssertionError for any problem or notice."""
    sink = _LastState()
    findings: list[InvalidInput | Notice] = []
    source = ObjectDirectory(
        directory, sink, wanted=WantedPool(), on_problem=findings.append, on_notice=findings.append
    )
    source.poll_once()
    assert not findings, [str(found) for found in findings]
    return sink.state
