"""Where a run keeps its states and metrics: `Run` in a folder, which can be resumed, `InMemory` nowhere.

Both are context managers and have the same methods: `begin` returns the state to start from, `save` keeps one,
`restore` returns the last one that was kept.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cganjax import checks, digests, files, report, run_folder, run_states
from cganjax import metrics as recorded
from cganjax.data import Dataset
from cganjax.run_lock import RunLock
from cganjax.training import config as cfg
from cganjax.training.loop import Diverged, Sums
from cganjax.training.manifest import manifest
from cganjax.training.metrics_log import MetricsLog
from cganjax.types import BadArgument, BadType, CheckpointError, UserError, Weights


def open_run(
    folder: Path | None, config: cfg.Config, *, overwrite: bool = False, extend_to: int | None = None
) -> "Run | InMemory":
    """A run in that folder, or in memory if the folder is None. Raises as `Run` does."""
    return InMemory(config) if folder is None else Run(folder, config, overwrite=overwrite, extend_to=extend_to)


def place(out: str | os.PathLike) -> Path:
    """The folder that `out` names, with "~" expanded. Raises UserError if no folder can have that name."""
    if not isinstance(out, (str, os.PathLike)):
        raise BadType(f"out is {checks.shown(out)}: give a path")
    try:
        return Path(files.expanded(out))
    except UserError as error:
        raise BadArgument(f"out: {error}") from None


class _Restorable(contextlib.AbstractContextManager):
    """What both kinds of run know of returns to the last good state."""

    manifest: dict[str, Any]
    done: int  # updates that the last state which was kept holds

    def __exit__(self, *raised: Any) -> None:
        self.end()

    @property
    def restored(self) -> list[run_folder.Restored]:
        """The returns to a last good state up to now, oldest first."""
        return self.manifest.setdefault("restored", [])

    @property
    def batch(self) -> int:
        """The place in the data of the next batch: the number of updates, and of batches that were left out."""
        return self.done + sum(restored["skipped"] for restored in self.restored)

    def _leave_out(self, error: Diverged) -> None:
        """Record a return to the last state, and leave out all batches since then, which have the bad one."""
        self.restored.append(
            {"step": error.step, "what": error.what, "to": self.done, "skipped": error.step - self.done}
        )


class InMemory(_Restorable):
    """A run that writes no file."""

    folder = None

    def __init__(self, config: cfg.Config):
        self.config, self.metrics, self.done = config, _Rows(), 0
        self.best: dict[str, Weights] | None = None  # the weights of the lowest loss, if the config keeps them
        self._lowest, self._last = None, None
        self.keeps_last = False  # whether `restore` will be needed

    def begin(
        self,
        state: Any,
        dataset: Dataset,
        command: Sequence[str],
        devices: int = 1,
        block: int = 1,
        init_from: Mapping[str, Any] | None = None,
    ) -> Any:
        """The given first state. The other arguments are for the record, see `Run.begin`."""
        self.manifest = manifest(self.config, dataset, command, devices, None, block, init_from)
        self._began = time.perf_counter()
        return state

    def save(self, step: int, state: Any) -> None:
        """Note the step; keep a copy of the weights if their loss is the lowest and the config asks for the best."""
        loss, self.done = ranking_loss(self.config, self.metrics.rows, step), step
        if self.config.keep_best and loss is not None and (self._lowest is None or loss < self._lowest):
            self._lowest, self.best = loss, jax.tree.map(jnp.copy, state.weights())
        if self.keeps_last:
            self._last = jax.tree.map(jnp.copy, state)
        self.manifest["steps"] = step

    def restore(self, first: Any, error: Diverged) -> Any:
        """The last state that was saved, or the first one if there is none; the metrics after it are forgotten."""
        self._leave_out(error)
        self.metrics.rows = [row for row in self.metrics.rows if row["step"] <= self.done]
        return first if self._last is None else jax.tree.map(jnp.copy, self._last)

    def end(self) -> None:
        """Bring the manifest up to date."""
        if hasattr(self, "manifest"):
            self.manifest["wall_time_s"] = round(time.perf_counter() - self._began, 1)


class _Rows:
    """What `MetricsLog` offers, without a file."""

    carried = None

    def __init__(self):
        self.rows: list[dict[str, Any]] = []

    def cut(self, sums: Sums) -> None:
        """A run in memory is not resumed."""

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append a row."""
        self.rows.append({"step": step, **values})


class Run(_Restorable):
    """One run folder, opened for one config and locked for one process until `end`.

    No order of interruptions makes a folder unusable: the file of the lock, which a killed process leaves behind, says
    that the folder is a run folder, and the config is the first other file. With no more it is a run at step 0.
    """

    metrics = states = None

    def __init__(self, folder: Path, config: cfg.Config, *, overwrite: bool = False, extend_to: int | None = None):
        """Claim the folder. With `extend_to` the run in it is made so many steps long.

        Raises:
          UserError: the folder cannot be written, is in use by another process, holds something else, or holds a run of
            another config; or it holds no run to extend, or a longer one.
          CheckpointError: the folder's config or manifest is damaged, or all of its checkpoints are.

        Warns:
          DamagedCheckpoint: the newest checkpoint is damaged, and the run goes on from an older one.
        """
        self.folder, self.config, self._fresh, self._extension = folder, config, overwrite, None
        self._lock, self._made = _claim(folder)
        try:
            for name in (run_folder.SAMPLES, run_folder.STATES):
                if (folder / name).exists() and not (folder / name).is_dir():
                    raise UserError(f"{folder / name} is a file, where a run has a folder: move it away")
            there, kept = (None, {}) if overwrite else _there(folder)
            if there is not None:
                self.config = _as_long_as(there, kept.get("extended", []), config, extend_to)
                _check_same(folder, there, cfg.to_json(self.config))
            # Updates that the newest checkpoint holds.
            self.done = 0 if overwrite else _newest_sound(folder)
            if self.done and there is None:
                raise CheckpointError(f"{folder} holds no {run_folder.CONFIG}{_REMEDY}")
            if extend_to is not None:
                self._extend(there, extend_to)
        except BaseException:
            self.end()
            raise

    def _extend(self, there: Mapping[str, Any] | None, steps: int) -> None:
        """Give the run so many steps; the folder says so from `begin` on."""
        if there is None:
            raise UserError(
                f"extend_to is {steps}, and {self.folder} holds no run yet: leave it out, and give the number of steps"
            )
        if steps < there["steps"]:
            raise UserError(
                f"extend_to is {steps}, and the run in {self.folder} has {there['steps']} steps, of which {self.done} "
                "are done: give a larger number"
            )
        if steps > there["steps"]:
            self._extension = {"from": there["steps"], "at": self.done, "to": steps}
        self.config = dataclasses.replace(self.config, steps=steps)

    def begin(
        self,
        state: Any,
        dataset: Dataset,
        command: Sequence[str],
        devices: int = 1,
        block: int = 1,
        init_from: Mapping[str, Any] | None = None,
    ) -> Any:
        """The newest state in the folder, or the given first one if there is none yet.

        For the record are `command`, `devices`, the number that share a batch, `block`, the steps in one call, and
        `init_from`, the checkpoint that the first state has its weights from.

        Raises:
          UserError: the data are not those that the run began with.
          CheckpointError: the manifest or the newest checkpoint is damaged.
        """
        before = {}
        run_folder.remove_parts(self.folder)  # of a process that was killed
        if self._fresh:
            run_folder.remove_run(self.folder)
        elif self.done or (self.folder / run_folder.MANIFEST).exists():
            _, before = _read_run(self.folder)
            _check_same_images(self.folder, before, dataset)
        before = self._write_config(before)
        (self.folder / run_folder.SAMPLES).mkdir(exist_ok=True)
        self.states = run_states.RunStates(self.folder, self.config.keep, self.config.keep_best, after=self.done)
        state = self._newest(state)

        if before:
            before["steps"] = self.done  # the process may have been killed between the state and the manifest
        init_from = before.get("init_from") if self.done else init_from
        self.manifest = manifest(self.config, dataset, command, devices, before, block, init_from)
        self._wall_before, self._began = self.manifest["wall_time_s"], time.perf_counter()
        self.manifest["config"] = digests.of_json(files.read_json(self.folder / run_folder.CONFIG))
        if "extended" in before:
            self.manifest["extended"] = [e | {"at": min(e["at"], self.done)} for e in before["extended"]]
        for name, empty in (("states", {}), ("metrics", {}), ("restored", []), ("damage", [])):
            self.manifest[name] = before.get(name, empty)
        self._go_on(state)
        return state

    def _write_config(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Write the config if need be; the manifest of the run so far, with its extension, if any.

        The manifest is written before the config. Whoever reads the two after an interruption in between takes the
        length of the run from the manifest, see `run_folder.read_run`.
        """
        path, before = self.folder / run_folder.CONFIG, dict(before)
        there = None if self._fresh or not path.exists() else files.read_json(path)
        config = cfg.to_json(self.config) if there is None else there | {"steps": self.config.steps}
        if self._extension and before:
            before["extended"] = [*before.get("extended", []), self._extension]
            before["config"] = digests.of_json(config)
            files.write_json(self.folder / run_folder.MANIFEST, digests.sealed(before))
        if config != there:
            files.write_json(path, config)
        return before

    def _newest(self, first: Any) -> Any:
        """The newest state, or the given first one if there is none yet."""
        return self.states.restore(first, self.done) if self.done else first

    def _go_on(self, state: Any) -> None:
        """Open the metrics at the state, and forget what the manifest says of later ones."""
        kept, at = self.manifest, str(self.done)
        kept["restored"] = [restored for restored in kept["restored"] if restored["to"] <= self.done]
        kept["states"] = {step: digest for step, digest in kept["states"].items() if int(step) <= self.done}
        if self.done and at not in kept["states"]:
            kept["states"][at] = digests.of_json(digests.of_tree(state))
        if self.metrics:
            self.metrics.close()
        self.metrics = MetricsLog(self.folder / run_folder.METRICS, self.done, kept["metrics"])
        kept["metrics"] = self.metrics.seals
        if self.metrics.damage:
            kept["damage"].append(self.metrics.damage)
        self._write_manifest()

    def save(self, step: int, state: Any) -> None:
        """Keep a state, and bring the curves up to date: a hook of the loop.

        The state comes last: what belongs to it is there before it, whenever the process is killed.
        """
        rows = self.metrics.rows
        report.save_curves(self.folder / run_folder.CURVES, rows, f"{self.folder.name}, to step {step}")
        self.metrics.seal(step)
        self._write_manifest()
        arrays = self.states.save(step, state, ranking_loss(self.config, rows, step))
        self.done = self.manifest["steps"] = step
        self.manifest["states"][str(step)] = digests.of_json(arrays)
        self._write_manifest()

    def finished(self) -> dict[str, Any]:
        """The manifest of a run that has come as far as was asked for.

        It is brought up to the newest state, if the process was killed between the two.
        """
        _, found = _read_run(self.folder)
        if self._extension:
            found = self._write_config(found)
        if "states" in found and found["steps"] < self.done:
            states = run_states.RunStates(self.folder)
            found["steps"] = self.done
            found["states"][str(self.done)] = digests.of_json(states.digests(self.done))
            states.close()
            files.write_json(self.folder / run_folder.MANIFEST, digests.sealed(found))
        return found

    def restore(self, first: Any, error: Diverged) -> Any:
        """The last state that was saved, or the first one if there is none; the metrics after it are dropped."""
        state = self._newest(first)
        self._leave_out(error)
        self._go_on(state)
        return state

    def end(self) -> None:
        """Let go of the folder; one that holds no config yet is left as it was found."""
        with contextlib.ExitStack() as each:
            each.callback(self._unlock)
            for held in (self.metrics, self.states):
                if held:
                    each.callback(held.close)

    def _unlock(self) -> None:
        began = (self.folder / run_folder.CONFIG).exists()
        run_folder.remove_parts(self.folder)  # of a write that failed, such as on a full disk
        self._lock.release()
        if not began:
            with contextlib.suppress(OSError):  # the first that is not empty
                for folder in self._made:
                    folder.rmdir()

    def _write_manifest(self) -> None:
        self.manifest["wall_time_s"] = round(self._wall_before + time.perf_counter() - self._began, 1)
        files.write_json(self.folder / run_folder.MANIFEST, digests.sealed(self.manifest))


def ranking_loss(config: cfg.Config, rows: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """The mean loss over the last `checkpoint_every` steps, or None for a stop between two checkpoints.

    All candidates for the best are thus measured over as many steps, wherever the run was interrupted.
    """
    if step % config.checkpoint_every and step != config.steps:
        return None
    return mean_loss(rows, step - config.checkpoint_every)


def mean_loss(rows: Sequence[Mapping[str, Any]], after: int) -> float:
    """The mean loss of G, or of the classifier, over the steps after that one."""
    rows = [row for row in rows if row["step"] > after and "steps" in row]
    values = [(row["steps"], recorded.ranking(row)) for row in rows]
    return sum(n * loss for n, loss in values) / sum(n for n, _ in values)


def devices_before(folder: Path) -> int | None:
    """How many devices shared a batch in the run of this folder, or None if it holds no run.

    The bits of a run depend on that number.
    """
    try:
        return run_folder.read_run(folder)[1].get("devices", 1)
    except (CheckpointError, OSError):  # opening the folder to train there says what is wrong with it
        return None


def config_before(folder: Path | None, recipe: str, dataset: Dataset) -> cfg.Config | None:
    """The config of the run in this folder if it is one of that recipe, else None: nothing chooses its settings again.

    Raises:
      UserError: the run is one of that recipe and was trained on other images.
    """
    try:
        config, manifest = run_folder.read_run(folder) if folder else ({}, {})
    except (CheckpointError, OSError):  # opening the folder to train there says what is wrong with it
        return None
    if config.get("recipe") != recipe.replace("-", "_"):
        return None
    _check_same_images(folder, manifest, dataset)
    with contextlib.suppress(TypeError, KeyError):  # it has fields that are not ours: comparing the configs names them
        return cfg.from_json(config)
    return None


_REMEDY = ": put it back from a copy, or begin anew (overwrite=True)"


def _claim(folder: Path) -> tuple[RunLock, list[Path]]:
    """Lock a folder, and make it if need be: the lock, and the folders that were made, the deepest first.

    Nothing but names is read before the folder is locked. Raises UserError as `Run` does.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: give a folder (out=)")
        if folder.is_dir() and not _is_ours(folder):
            raise UserError(f"{folder} is not empty and holds no run: choose another folder (out=)")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        return RunLock(folder), made
    except OSError as error:
        if error.errno in files.FULL:
            raise OSError(error.errno, error.strerror, str(folder)) from None
        raise UserError(f"the folder {folder} cannot be written ({error.strerror}): choose another folder") from None


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty or a run folder: in use, interrupted, or with a config or a manifest of ours."""
    names = {path.name for path in folder.iterdir()}
    if not names or run_folder.LOCK in names:
        return True
    if names == {run_folder.SAMPLES}:  # an earlier version was interrupted before it wrote its config
        return not any((folder / run_folder.SAMPLES).iterdir())
    for name, kind in ((run_folder.CONFIG, run_folder.Config), (run_folder.MANIFEST, run_folder.Manifest)):
        with contextlib.suppress(CheckpointError):  # the other one may be sound
            files.read_json(folder / name, kind)
            return True
    return False


def _newest_sound(folder: Path) -> int:
    """The step of the checkpoint to go on from, or 0 if there is none yet; a warning names damaged later ones."""
    step, damaged = run_states.newest_sound(folder)
    run_states.warn_of_damage(folder, step, damaged, stacklevel=5)  # of `train`
    return step


def _read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return run_folder.read_run(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_REMEDY}") from None


def _there(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The config and the manifest of the run in a folder; None and {} if it has neither."""
    if (folder / run_folder.MANIFEST).exists():
        return _read_run(folder)
    if not (folder / run_folder.CONFIG).exists():
        return None, {}
    try:
        return files.read_json(folder / run_folder.CONFIG, run_folder.Config), {}
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_REMEDY}") from None


def _as_long_as(
    there: Mapping[str, Any], extended: Sequence[Mapping[str, Any]], config: cfg.Config, extend_to: int | None
) -> cfg.Config:
    """The config with the length of the run there, if the length it has is an earlier one of the run, or the new one.

    So the command that began a run resumes it also after it was made longer.
    """
    lengths = {extend_to, *(extension["from"] for extension in extended)}
    return dataclasses.replace(config, steps=there["steps"]) if config.steps in lengths else config


def _check_same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to resume a run of another config, naming what differs; a field that it did not have yet is unset."""
    with contextlib.suppress(TypeError, KeyError):  # then it has fields that are not ours: they are named below
        there = cfg.to_json(cfg.from_json(there))
    for key in ("recipe", "seed", "init_from", *wanted):
        found, asked = there.get(key), wanted.get(key)
        if found != asked:
            found, asked = ("none" if value == "" else value for value in (found, asked))
            longer = key == "steps" and isinstance(found, int) and asked > found
            raise UserError(
                f"{folder} holds a run with {key} {found}, and {key} {asked} was asked for: "
                + f"make it longer (extend_to={asked}), " * longer
                + "choose another folder (out=), or begin anew (overwrite=True)"
            )


def _check_same_images(folder: Path, before: Mapping[str, Any], dataset: Dataset) -> None:
    if before["data"]["fingerprint"] != dataset.fingerprint:
        raise UserError(
            f"{folder} was trained on other images than those of {dataset.source}: "
            "train on the same ones (dataset=, data_dir=), or choose another folder (out=)"
        )
