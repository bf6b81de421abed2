"""What to load, replace, unload and keep: a function of what is wished, what is served, and what we loaded.

An adapter is served as wished when it came from the wished source. For one that we loaded, our own books tell: its
source, its base model (which vLLM takes but never shows), and how the model server spelled the source afterwards, so
that a server that shows resolved paths is no reason to load again. For one that somebody else loaded, `root` of
/v1/models is compared with the wished source; where there is no `root`, the adapter is believed to be right.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from epp.edge.lora.configuration import Adapter


class Action(Enum):
    """What becomes of one adapter."""

    KEEP = "keep"
    """it is served as wished"""
    LOAD = "load"
    REPLACE = "replace"
    """unload, then load: served, but from elsewhere than wished"""
    REFUSE = "refuse"
    """cannot be loaded: a base model has the name"""
    UNLOAD = "unload"
    ABSENT = "absent"
    """not served, as wished"""


class Served(msgspec.Struct, frozen=True):
    """A model as the server lists it."""

    root: str | None = None
    """where it came from; None where the server does not say"""
    is_base_model: bool = False


class LoadedByUs(msgspec.Struct, frozen=True):
    """What our books say of an adapter that we loaded."""

    source: str
    base_model: str
    root: str | None = None
    """the source as the server spelled it afterwards; None until it was seen"""


class Step(msgspec.Struct, frozen=True):
    """One adapter and what becomes of it; `reason` says why where that is not plain."""

    action: Action
    adapter: Adapter
    """of an unwanted adapter only the id counts"""
    reason: str = ""


def plan(
    wanted: Sequence[Adapter], unwanted: Sequence[str], served: Mapping[str, Served], ours: Mapping[str, LoadedByUs]
) -> tuple[Step, ...]:
    """A step for every adapter of both lists, wanted ones first; by id. Nobody else is touched."""
    steps = [_of_wanted(adapter, served.get(adapter.id), ours.get(adapter.id)) for adapter in wanted]
    return (*steps, *(_of_unwanted(adapter_id, served.get(adapter_id)) for adapter_id in unwanted))


def _of_wanted(adapter: Adapter, served: Served | None, ours: LoadedByUs | None) -> Step:
    if served is None:
        return Step(Action.LOAD, adapter)
    if served.is_base_model:
        return Step(Action.REFUSE, adapter, "the model server has a base model of that name; choose another id")
    reason = _difference(adapter, served, ours)
    return Step(Action.REPLACE, adapter, reason) if reason else Step(Action.KEEP, adapter)


def _difference(adapter: Adapter, served: Served, ours: LoadedByUs | None) -> str:
    """Why what is served is not what is wished; empty if it is."""
    if ours is not None and ours.root in (None, served.root):
        if ours.source != adapter.source:
            return f"it was loaded from {ours.source!r}"
        if ours.base_model != adapter.base_model:
            return f"it was loaded for the base model {ours.base_model!r}"
        return ""
    if served.root is None or served.root == adapter.source:
        return ""
    return f"somebody else loaded it from {served.root!r}"


def _of_unwanted(adapter_id: str, served: Served | None) -> Step:
    adapter = Adapter(adapter_id, "")
    if served is None:
        return Step(Action.ABSENT, adapter)
    if served.is_base_model:
        return Step(Action.REFUSE, adapter, "it is a base model of the model server, which cannot be unloaded")
    return Step(Action.UNLOAD, adapter)


def seen(served: Mapping[str, Served], ours: Mapping[str, LoadedByUs]) -> dict[str, LoadedByUs]:
    """Our books after a look at the server: adapters that are gone are forgotten, roots seen first are kept."""
    return {
        adapter_id: msgspec.structs.replace(loaded, root=served[adapter_id].root) if loaded.root is None else loaded
        for adapter_id, loaded in ours.items()
        if adapter_id in served
    }
