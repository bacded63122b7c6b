"""What a person sees while nothing else is printed: what is under way, and for how long it has been."""

import sys
import threading
import time

FIRST, AGAIN = 2.0, 10.0  # seconds until it is said for the first time, and then again


class Waiting:
    """Say on stderr what is under way, if it takes longer than `FIRST` seconds, and again every `AGAIN` seconds.

    >>> with Waiting("compiling") as waiting:
    ...     waiting.now("classifying")
    """

    def __init__(self, what: str):
        self.now(what)
        self._ended = threading.Event()
        threading.Thread(target=self._remind, daemon=True, name="cganjax-waiting").start()

    def now(self, what: str) -> None:
        """Something else is under way from now on."""
        self._what, self._since = what, time.perf_counter()

    def end(self) -> None:
        """Nothing is under way any more."""
        self._ended.set()

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def _remind(self) -> None:
        said, pause = None, FIRST
        while not self._ended.wait(pause):
            what, since = self._what, self._since
            for_long = f" {time.perf_counter() - since:.0f} s" if (what, since) == said else ""
            print(f"{what} ...{for_long}", file=sys.stderr, flush=True)
            said, pause = (what, since), AGAIN
