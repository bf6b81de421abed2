"""CPU time of one coroutine among many.

A clock around an `await` would count everybody who ran in between, so every step of the coroutine is timed on its own.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CpuMetered(Generic[T]):
    """`await metered` gives the coroutine's result; `cpu_s` is what its steps took, also when it raised."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], cpu_clock: Callable[[], float]) -> None:
        self.cpu_s = 0.0
        self._coroutine = coroutine
        self._cpu_clock = cpu_clock

    def __await__(self) -> Generator[Any, Any, T]:
        step = partial(self._coroutine.send, None)
        while True:
            begun = self._cpu_clock()
            try:
                awaited = step()
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self.cpu_s += self._cpu_clock() - begun
            try:
                step = partial(self._coroutine.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001  not handled here: it belongs to the inner coroutine
                step = partial(self._coroutine.throw, error)
