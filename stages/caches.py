"""What is kept within the process, so that a second call costs nothing: bounded, locked, emptied in one call.

    MODELS = Cache(2)
    model = MODELS.get(key, lambda: load(path))

    @cached(4)
    def compiled(model, layer): ...

What is small and the same for ever (a table of colours, the fonts) is no cache but a constant, made where it is first
needed: ``lru_cache(maxsize=1)``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, Generic, TypeVar, TypeVarTuple
from weakref import WeakSet

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Arguments = TypeVarTuple("Arguments")


class Cache(Generic[K, V]):
    """Values by key; when they are too many, the least recently used goes first.

    Several threads may use one. Each value is made by one of them, while those that want the same wait and those that
    want another do not; what could not be made is tried again by the next.

    Args:
        size: values kept, at least 1; with ``weigh`` the sum of their weights, but one value is always kept.
        weigh: of a value, e.g. its bytes.
        leaving: called with a value that makes room for another.
    """

    def __init__(
        self, size: int, weigh: Callable[[V], int] | None = None, leaving: Callable[[V], object] | None = None
    ) -> None:
        self._size, self._weigh, self._leaving = size, weigh or (lambda value: 1), leaving
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._total = 0
        self._making: dict[K, threading.Event] = {}
        _CACHES.add(self)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K, make: Callable[[], V], valid: Callable[[V], bool] | None = None) -> V:
        """The value that is kept, or the one that ``make`` gives.

        Args:
            make: must not ask for the same key.
            valid: whether a kept value may still be used; else it is made anew.
        """
        while True:
            with self._lock:
                if key in self._kept and (valid is None or valid(self._kept[key])):
                    self._kept.move_to_end(key)
                    return self._kept[key]
                if key not in self._making:
                    made = self._making[key] = threading.Event()
                    break
                others = self._making[key]
            others.wait()
        try:
            value = make()
            self._keep(key, value)
            return value
        finally:
            with self._lock:
                del self._making[key]
            made.set()

    def _keep(self, key: K, value: V) -> None:
        gone = []
        with self._lock:
            if key in self._kept:
                self._drop(key)
            self._kept[key] = value
            self._total += self._weigh(value)
            while self._total > self._size and len(self._kept) > 1:
                gone.append(self._drop(next(iter(self._kept))))
        if self._leaving is not None:
            for one in gone:
                self._leaving(one)

    def _drop(self, key: K) -> V:
        value = self._kept.pop(key)
        self._total -= self._weigh(value)
        return value

    def forget(self, part: object) -> None:
        """Drops what is kept under keys that ``part`` is an element of."""
        with self._lock:
            for key in [k for k in self._kept if isinstance(k, tuple) and any(p is part for p in k)]:
                self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._total = 0


_CACHES: WeakSet[Cache[Any, Any]] = WeakSet()


def cached(size: int) -> Callable[[Callable[[*Arguments], V]], Callable[[*Arguments], V]]:
    """Keeps what a function gives for each of its last ``size`` arguments, which must be hashable."""

    def decorate(function: Callable[[*Arguments], V]) -> Callable[[*Arguments], V]:
        cache: Cache[tuple[*Arguments], V] = Cache(size)

        @wraps(function)
        def call(*arguments: *Arguments) -> V:
            return cache.get(arguments, lambda: function(*arguments))

        return call

    return decorate


def forget(part: object) -> None:
    """Drops, from every cache, what is kept under keys that ``part`` is an element of.

    So a model that makes room for another takes with it all that was compiled of it.
    """
    for cache in list(_CACHES):
        cache.forget(part)


def clear_all() -> None:
    """Empties every cache: what comes next is made as in a new process."""
    for cache in list(_CACHES):
        cache.clear()
