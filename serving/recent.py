"""A short memory for what pages read again and again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key, each made when it is first asked for and for so many seconds not again.

    A value that cannot be made is not remembered: its error goes to who asked.

    Args:
        seconds: how old a value may get.
        size: at most so many; those that nobody asked for longest go first.
    """

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; two who ask at once may both make it."""
        oldest = time.monotonic() - self._seconds
        with self._lock:
            found = self._kept.get(key)
            if found is not None and found[0] >= oldest:
                self._kept.move_to_end(key)
                return found[1]
        value = make()
        with self._lock:
            self._kept[key] = (time.monotonic(), value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return value
