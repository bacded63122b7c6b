"""`Progress`: which part of a measurement is under way, and about how much time is left."""

import sys
import time

# Some parts take much longer than others: seconds of 10,000 samples of 28x28x1 on 2 CPU cores, the others taking 1.
_SECONDS = {
    "sampling": 8,
    "features": 2,
    "classifier": 5,
    "frechet": 12,
    "frechet_train": 12,
    "kid": 6,
    "prdc": 10,
    "memorisation": 40,
    "cas": 60,
    "two_sample": 60,
}


class Progress:
    """One line that is overwritten on a terminal, one line per part if the output is piped.

    >>> progress = Progress(["mnist: features", "mnist: kid"])
    >>> progress.part("mnist: features")
    mnist: features (1 of 2)
    """

    def __init__(self, parts: list[str]):
        """Begin; `parts` are the names of all parts, each of which ends with ": KIND"."""
        self._weights, self._left = [_weight(name) for name in parts], sum(map(_weight, parts))
        self._number, self._whole, self._began = 0, self._left, time.perf_counter()
        self._terminal = sys.stdout.isatty()

    def part(self, name: str) -> None:
        """A part begins. Parts that were announced and left out are skipped."""
        done, spent = self._whole - self._left, time.perf_counter() - self._began
        self._number += 1
        self._left -= _weight(name)
        text = f"{name} ({self._number} of {len(self._weights)}{_time_left(done, spent, self._whole)})"
        if self._terminal:
            print(f"\r{text:78}\r", end="", flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Clear the line of a terminal."""
        if self._terminal:
            print(f"\r{'':78}\r", end="", flush=True)


def _weight(name: str) -> float:
    return _SECONDS.get(name.rpartition(": ")[2], 1)


def _time_left(done: float, spent: float, whole: float) -> str:
    if done <= 0:
        return ""
    seconds = spent / done * max(whole - done, 0)
    return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
