"""LoRA adapters: which names are served (registry) and which adapters sit in the GPU's slots."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec


class Adapter(msgspec.Struct, frozen=True):
    """A loaded adapter. `id` is new at every load, so that blocks cached for earlier weights never match."""

    id: int
    name: str
    path: str
    base_model_name: str


class AdapterRegistry:
    """Adapters by served name, in the order of loading."""

    def __init__(self) -> None:
        self._by_name: dict[str, Adapter] = {}
        self._loads = 0

    def get(self, name: str) -> Adapter | None:
        """The adapter served under `name`, or None."""
        return self._by_name.get(name)

    def all(self) -> tuple[Adapter, ...]:
        """Every adapter served now."""
        return tuple(self._by_name.values())

    def load(self, name: str, path: str, base_model_name: str) -> Adapter:
        """Serves `name` from `path`, in place of what was served under that name."""
        self._loads += 1
        adapter = Adapter(id=self._loads, name=name, path=path, base_model_name=base_model_name)
        self._by_name[name] = adapter
        return adapter

    def unload(self, name: str) -> bool:
        """Stops serving `name`; False when it was not served. Requests under way keep their adapter."""
        return self._by_name.pop(name, None) is not None


class AdapterSlots:
    """The GPU's `max_loras` adapter slots. A slot whose adapter has running requests is held; idle ones go LRU."""

    def __init__(self, max_loras: int) -> None:
        self.max_loras = max_loras
        self._users: OrderedDict[int, int] = OrderedDict()

    @property
    def resident(self) -> tuple[int, ...]:
        """Ids of the adapters on the GPU, least recently used first."""
        return tuple(self._users)

    @property
    def held(self) -> int:
        """Slots whose adapter has running requests."""
        return sum(1 for users in self._users.values() if users)

    def can_hold(self, adapter_id: int) -> bool:
        """Whether a request of this adapter could run now."""
        return adapter_id in self._users or len(self._users) < self.max_loras or 0 in self._users.values()

    def acquire(self, adapter_id: int) -> bool:
        """Takes a place for one request; True when the adapter had to be loaded. Call only after `can_hold`."""
        loaded = adapter_id not in self._users
        if loaded and len(self._users) >= self.max_loras:
            del self._users[next(resident for resident, users in self._users.items() if users == 0)]
        self._users[adapter_id] = self._users.get(adapter_id, 0) + 1
        self._users.move_to_end(adapter_id)
        return loaded

    def release(self, adapter_id: int) -> None:
        """Ends one request's use; the adapter stays in its slot until another one needs it."""
        self._users[adapter_id] -= 1


class NameCounts:
    """How many requests of each adapter are in one state; the names come out in order of first appearance."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, adapter: Adapter | None) -> None:
        """One request more; requests for the base model (None) do not count."""
        if adapter is not None:
            self._counts[adapter.name] = self._counts.get(adapter.name, 0) + 1

    def remove(self, adapter: Adapter | None) -> None:
        """One request less."""
        if adapter is not None:
            left = self._counts[adapter.name] - 1
            if left:
                self._counts[adapter.name] = left
            else:
                del self._counts[adapter.name]

    def names(self) -> Iterable[str]:
        """Adapters with at least one request."""
        return self._counts.keys()
