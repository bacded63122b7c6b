"""The full states of a run on disk: `RUN/checkpoints/STEP/`, written by Orbax and checked by digests.

A checkpoint has two items. `state` holds the arrays. `record` holds the digest of each array as it was in memory, the
step, the loss that ranks the checkpoint, and a digest of all that. Older versions wrote the arrays as `default`, and no
digests. Only these names distinguish the two, so that no damage to a file makes a new checkpoint look like an old one.
"""

import contextlib
import functools
import gc
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import jax
import numpy as np

from cganjax import digests, quiet
from cganjax.files import read_json
from cganjax.run_folder import STATES
from cganjax.types import CheckpointError, DamagedCheckpoint

STATE, RECORD, OLD_STATE = "state", "record", "default"  # items of a checkpoint
DAMAGED = ".damaged"  # is appended to the name of a damaged checkpoint that a resumed run sets aside


class Record(TypedDict):
    """What a checkpoint says of itself."""

    step: int
    loss: float | None  # None: it is no candidate for the best
    arrays: dict[str, str]  # path of each array -> digest
    digest: str  # of the other entries


class Found(NamedTuple):
    """A sound checkpoint."""

    step: int
    state: Any
    damaged: list[str]  # a sentence about each checkpoint that would have come before it


class RunStates:
    """The checkpoints of a run folder: the newest `keep`, each a whole state. None is half-written.

    >>> import jax.numpy as jnp, pathlib, tempfile
    >>> run = pathlib.Path(tempfile.mkdtemp())
    >>> states = RunStates(run, keep=2)
    >>> found = [states.save(step, {"x": jnp.float32(step)}, loss=0.5) for step in (10, 20, 30)]
    >>> states.steps(), states.digests(30) == found[-1]
    ([20, 30], True)
    >>> _ = (run / "checkpoints/30/record/metadata").write_text("")
    >>> states.restore_newest({"x": jnp.float32(0)}).step
    20
    >>> states.close()
    """

    def __init__(self, run: Path, keep: int | None = None, keep_best: bool = False, after: int | None = None):
        """Open them, to read only if `keep` is None.

        Args:
          run: the run folder.
          keep: how many of the newest are kept.
          keep_best: keep the one with the lowest loss as well.
          after: the step that the run goes on from. Later checkpoints are damaged: they get the ending `.damaged`.

        Raises:
          CheckpointError: `checkpoints` is no folder.
        """
        self.folder = run / STATES
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is a file: expected the folder of a run's checkpoints, so delete it")
        self._manager = None
        if keep is not None:
            if after is not None:
                self._set_aside(after)
            self._manager = self._open(keep, keep_best)

    def _open(self, keep: int, keep_best: bool):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(
            preservation_policy=_Kept(self, keep, keep_best),
            # Saving waits for the disk, because the next step takes over the state's memory.
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            lightweight_initialize=True,  # read nothing of what is there: it may be damaged
        )
        with quiet.logger("absl"):  # Orbax logs each act at length
            return ocp.CheckpointManager(self.folder.resolve(), options=options)

    def _set_aside(self, after: int) -> None:
        for step in self.steps():
            if step > after:
                place = self.folder / f"{step}{DAMAGED}"
                shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)  # of an earlier time
                os.replace(self.folder / str(step), place)

    def steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first; some may be damaged."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))

    def best(self) -> int | None:
        """The step of the checkpoint with the lowest loss, or None if none has one."""
        losses = {}
        for step in reversed(self.steps()):  # of equal ones the newest
            with contextlib.suppress(CheckpointError):
                losses[step] = self.loss(step)
        ranked = {step: loss for step, loss in losses.items() if loss is not None}
        return min(ranked, key=ranked.get, default=None)

    def loss(self, step: int) -> float | None:
        """The loss that ranks a checkpoint, or None if it is no candidate for the best.

        Raises:
          CheckpointError: the record is damaged.
        """
        if self._is_old(step):
            return read_json(self.folder / str(step) / "metrics" / "metrics", dict[str, float]).get("loss")
        return self._record(step)["loss"]

    def digests(self, step: int) -> dict[str, str] | None:
        """The digest of each array of a checkpoint by its path, or None if an older version made it.

        Raises:
          CheckpointError: the record is damaged.
        """
        return None if self._is_old(step) else self._record(step)["arrays"]

    def save(self, step: int, state: Any, loss: float | None) -> dict[str, str]:
        """Keep the state of `step`, whole or not at all.

        Args:
          step: the updates done. There is no checkpoint of it yet.
          state: a tree of arrays.
          loss: ranks the checkpoint; None: it is no candidate for the best.

        Returns:
          The digest of each array by its path.
        """
        import orbax.checkpoint as ocp

        arrays = digests.of_tree(state)  # before anything is written: what goes wrong later shows
        record = {"step": step, "loss": None if loss is None else float(loss), "arrays": arrays}
        record = digests.sealed(record)
        items = {STATE: ocp.args.StandardSave(state), RECORD: ocp.args.JsonSave(record)}
        with quiet.logger("absl"):
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)
        return arrays

    def restore(self, like: Any, step: int | None = None) -> Any:
        """The state of `step` (None: the newest), bit for bit as it was saved.

        Args:
          like: a tree of arrays or of `jax.ShapeDtypeStruct`; the state has its structure and is on its devices.
            None: the state is a flat dictionary of NumPy arrays by their paths.
          step: of the checkpoint.

        Raises:
          CheckpointError: there is no such checkpoint, it is damaged, or it holds other arrays.
        """
        steps = self.steps()
        step = steps[-1] if step is None and steps else step
        if step not in steps:
            raise CheckpointError(f"{self.folder} holds no checkpoint{'' if step is None else f' of step {step}'}")
        return self._fit(like, step, self._read(step))

    def restore_newest(self, like: Any = None, *, best: bool = False) -> Found:
        """The newest sound state, or the best one.

        Args:
          like: as for `restore`.
          best: prefer the one with the lowest loss. One whose loss is damaged comes first: it may be the best.

        Raises:
          CheckpointError: there is no checkpoint, none is sound, or the one found holds other arrays.
        """
        damaged = []
        for step in self._by_preference(best):
            try:
                arrays = self._read(step)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            return Found(step, self._fit(like, step, arrays), damaged)
        if not damaged:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        raise CheckpointError(f"{'; '.join(damaged)}; none is left: train anew with overwrite=True (--overwrite)")

    def close(self) -> None:
        """Close the folder."""
        if self._manager:
            self._manager.close()

    # --- one checkpoint -----------------------------------------------------------------------------------------------

    def _is_old(self, step: int) -> bool:
        return (self.folder / str(step) / OLD_STATE).is_dir()

    def _by_preference(self, best: bool) -> list[int]:
        newest = self.steps()[::-1]
        if not best:
            return newest

        def rank(step: int) -> float:
            try:
                loss = self.loss(step)
            except CheckpointError:
                return -np.inf
            return np.inf if loss is None else loss

        return sorted(newest, key=rank)

    def _record(self, step: int) -> Record:
        folder = self.folder / str(step)
        path = folder / RECORD / "metadata"
        if not path.exists():
            raise CheckpointError(f"{folder} is damaged: it holds no {RECORD}/{path.name}")
        record = read_json(path, Record)
        if not digests.is_sealed(record):
            raise CheckpointError(f"{folder} is damaged: {RECORD}/{path.name} does not have its own digest")
        if record["step"] != step:
            raise CheckpointError(f"{folder} is damaged: it is the checkpoint of step {record['step']}")
        return record

    def _read(self, step: int) -> dict[str, np.ndarray]:
        """The arrays of a checkpoint by their paths. Raises CheckpointError if one is not as it was saved."""
        folder = self.folder / str(step)
        if self._is_old(step):
            return _arrays(folder, OLD_STATE)
        saved, arrays = self._record(step)["arrays"], _arrays(folder, STATE)
        there = digests.of_tree(arrays)
        wrong = sorted(name for name in saved.keys() | there.keys() if saved.get(name) != there.get(name))
        if wrong:
            raise CheckpointError(
                f"{folder} is damaged: {wrong[0]} is not as it was saved"
                + f", nor are {len(wrong) - 1} others of {len(saved)} arrays" * (len(wrong) > 1)
            )
        return arrays

    def _fit(self, like: Any, step: int, arrays: Mapping[str, np.ndarray]) -> Any:
        if like is None:
            return arrays
        wanted = digests.by_path(like)
        for name in sorted(wanted.keys() | arrays.keys()):
            there, asked = _kind(arrays.get(name)), _kind(wanted.get(name))
            if there != asked:
                raise CheckpointError(
                    f"{self.folder / str(step)} holds {name} as {there}, and this run needs {asked}: it was made by "
                    "something else, so delete it or choose another run"
                )
        placed = [jax.device_put(arrays[name], getattr(leaf, "sharding", None)) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(like), placed)


class _Kept:
    """The policy of which checkpoints stay, in the form that Orbax asks for."""

    def __init__(self, states: RunStates, newest: int, best: bool):
        self._states, self._newest, self._best = states, newest, best

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Whether each checkpoint stays; they are in the order of their steps."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*steps[-self._newest :], *([self._states.best()] if self._best else [])}
        return [step in kept for step in steps]


def _kind(array: Any) -> str:
    return "nothing" if array is None else f"{array.dtype}{list(array.shape)}"


def _arrays(folder: Path, item: str) -> dict[str, np.ndarray]:
    """The arrays of an item as NumPy arrays by their paths, whatever device they came from."""
    with _hushed():
        try:
            return _read_numpy((folder / item).resolve())
        except Exception as error:  # Orbax and TensorStore have no common error
            reason = str(error).strip().split(":")[0].splitlines()[0] if str(error).strip() else type(error).__name__
        gc.collect()  # what a failed read leaves complains when it is let go: better now than later
        raise CheckpointError(f"{folder} is damaged: its arrays cannot be read ({reason})")


def _read_numpy(place: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp

    handler = ocp.PyTreeCheckpointHandler()
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), handler.metadata(place).tree)
    return digests.by_path(handler.restore(place, args=ocp.args.PyTreeRestore(restore_args=as_numpy)))


@contextlib.contextmanager
def _hushed():
    """Within it, Orbax and asyncio say nothing.

    After an error, the late reports of the other reads (`quiet.is_late`) stay muted for good.
    """
    before = sys.unraisablehook
    if getattr(before, "func", None) is not _report:
        sys.unraisablehook = functools.partial(_report, before)
    with quiet.logger("absl"), quiet.logger("asyncio"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    sys.unraisablehook = before  # not after an error: the late reports are still to come


def _report(report: Callable[[Any], None], unraisable: Any) -> None:
    if not quiet.is_late(unraisable.exc_value):
        report(unraisable)


def newest_sound(run: Path) -> tuple[int, list[str]]:
    """The step of a run's newest sound checkpoint, and a sentence about each damaged later one; 0 if it has none yet.

    Raises:
      CheckpointError: there are checkpoints, and all are damaged.
    """
    states = RunStates(run)
    if not states.steps():
        return 0, []
    found = states.restore_newest()
    return found.step, found.damaged


def warn_of_damage(run: Path, used: int, damaged: Sequence[str], stacklevel: int) -> None:
    """Warn of damaged checkpoints, if any, which were left out in favour of the one of step `used`.

    Args:
      run: the run folder.
      used: the step of the checkpoint that was read.
      damaged: a sentence about each damaged one.
      stacklevel: as of `warnings.warn`, counted from the caller.
    """
    if damaged:
        text = f"{'; '.join(damaged)}; {run / STATES / str(used)} is used instead"
        warnings.warn(text, DamagedCheckpoint, stacklevel + 1)
