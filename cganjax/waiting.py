"""What a person sees while nothing else is printed: what is under way, and for how long it has been."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

FIRST, AGAIN = 2.0, 10.0  # seconds until it is said for the first time, and then again
_open: list["Waiting"] = []  # the innermost is the last


class Waiting:
    """Say on stderr what is under way, if it takes longer than `FIRST` seconds, and again every `AGAIN` seconds.

    >>> with Waiting("compiling") as waiting:
    ...     waiting.now("classifying")
    """

    def __init__(self, what: str):
        self.now(what)
        self._ended = threading.Event()
        _open.append(self)
        threading.Thread(target=self._remind, daemon=True, name="cganjax-waiting").start()

    def now(self, what: str) -> None:
        """Something else is under way from now on."""
        self._what, self._since, self._done = what, time.perf_counter(), ""

    def end(self) -> None:
        """Nothing is under way any more."""
        self._ended.set()
        if self in _open:
            _open.remove(self)

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def _remind(self) -> None:
        said, pause = None, FIRST
        while not self._ended.wait(pause):
            what, since, done = self._what, self._since, self._done
            for_long = f" {time.perf_counter() - since:.0f} s" if (what, since) == said else ""
            print(f"{what} ...{for_long}{done and f' ({done})'}", file=sys.stderr, flush=True)
            said, pause = (what, since), AGAIN


def counted(items: Sequence[Any], what: str) -> Iterator[Any]:
    """The items one by one; the innermost `Waiting`, if any, also says how many of them were taken.

    Code that prints nothing itself, such as a reader of many files, reports with it to the command that called it.

    >>> with Waiting("reading the data"):
    ...     sum(counted([1, 2, 3], "numbers"))
    6
    """
    waiting, began = _open[-1] if _open else None, time.perf_counter()
    for i, item in enumerate(items):
        if waiting is not None and i:
            left = (time.perf_counter() - began) / i * (len(items) - i)
            waiting._done = f"{what}: {i:,} of {len(items):,}, about {left:.0f} s left"
        yield item
    if waiting is not None:
        waiting._done = ""
