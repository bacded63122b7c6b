"""How a run is watched while it trains: `Progress` says nothing, `Shown` shows a bar or lines with the time left."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cganjax import metrics as recorded
from cganjax.data import Dataset
from cganjax.training.config import Config
from cganjax.waiting import Waiting


class Begun(NamedTuple):
    """A run whose first step is about to be taken."""

    config: Config
    dataset: Dataset
    folder: Path | None  # None: the run is in memory alone
    start: int  # updates done before
    until: int  # updates after which it ends
    devices: int  # that share each batch
    notes: Sequence[str] = ()  # what a user should know of the beginning, in sentences


class Progress:
    """The calls that a run makes; subclass it and give it to `train` as `progress`."""

    def begin(self, begun: Begun) -> None:
        """The run is about to take its first step."""

    def step(self, done: int) -> None:
        """`done` updates were handed to the device."""

    def log(self, done: int, metrics: Mapping[str, float]) -> None:
        """The means of the metrics over the last steps; for a classifier also those of a trial."""

    def restored(self, reason: str, step: int) -> None:
        """The run has gone back to the state of this step, as `on_nonfinite="restore"` asks for."""

    def end(self) -> None:
        """The run has ended, for whatever reason."""


_SHOWN = recorded.shown()
MEASURED, MEASURED_SECONDS = 20, 5.0  # steps and seconds, at least, from which the time of a run is estimated
SHORT = 90.0  # seconds; of a run that takes less no estimate is printed


class Shown(Progress):
    """A bar on a terminal; elsewhere a line every so many seconds."""

    def __init__(self, seconds: float = 20.0):
        self._seconds = seconds

    def begin(self, begun: Begun) -> None:
        """Say what is to know of the beginning, draw the bar, and start the clock."""
        from tqdm import tqdm

        for note in begun.notes:
            print(note, flush=True)
        self._total, self._images = begun.until, begun.config.batch_size
        self._tty = sys.stderr.isatty()
        self._bar = tqdm(
            desc="compiling",
            total=self._total,
            initial=begun.start,
            unit="step",
            disable=not self._tty,
            dynamic_ncols=True,
        )
        self._compiling = None if self._tty else Waiting("compiling the training step")
        self._said = time.perf_counter()
        self._clock = begun.start, self._said  # the step and the time that the rate is measured from
        self._compiled = self._estimated = False

    def step(self, done: int) -> None:
        """Move the bar; elsewhere print a line, if none was printed for long."""
        if self._compiling:
            self._compiling.end()
        self._estimate(done)
        if self._tty:
            self._bar.set_description(refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.perf_counter() - self._said >= 2 * self._seconds:
            self._print(done, "")

    def _estimate(self, done: int) -> None:
        """Say once how long the run will take, measured on steps after the first one, which compiles."""
        (first, began), now = self._clock, time.perf_counter()
        if self._compiled and not self._estimated and done - first >= MEASURED and now - began >= MEASURED_SECONDS:
            self._estimated, each = True, (now - began) / (done - first)
            left = (self._total - done) * each
            if left >= SHORT:
                said = f"{self._total - done:,} steps left: about {left / 60:.0f} min, measured at {each:.2g} s a step"
                self._bar.write(said, file=sys.stdout)
        if not self._compiled and done < self._total:
            self._compiled, self._clock, self._said = True, (done, now), now

    def log(self, done: int, metrics: Mapping[str, float]) -> None:
        """Show the newest metrics, the rate and, in a line, the time left."""
        shown = {_SHOWN[name]: f"{value:.3f}" for name, value in metrics.items() if name in _SHOWN}
        if self._tty:
            self._bar.set_postfix(shown | {"img/s": f"{self._rate(done):.0f}"})
            return
        if time.perf_counter() - self._said >= self._seconds or done == self._total:
            self._print(done, "".join(f"  {name} {value}" for name, value in shown.items()))

    def _print(self, done: int, losses: str) -> None:
        self._said, rate = time.perf_counter(), self._rate(done)
        minutes = (self._total - done) * self._images / max(rate, 1e-9) / 60
        print(
            f"step {done}/{self._total} ({done * self._images:,} images){losses}"
            f"  {rate:.0f} images/s  {minutes:.1f} min left",
            flush=True,
        )

    def restored(self, reason: str, step: int) -> None:
        """Say so, and move the bar back."""
        print(f"\nwarning: {reason}: going on from step {step} with the next data", file=sys.stderr, flush=True)
        self._bar.update(step - self._bar.n)
        self._clock = step, time.perf_counter()

    def _rate(self, done: int) -> float:
        first, began = self._clock
        return (done - first) * self._images / max(time.perf_counter() - began, 1e-9)

    def end(self) -> None:
        """End the bar's line."""
        if self._compiling:
            self._compiling.end()
        self._bar.close()
