"""Where a run keeps its states and metrics: `Run` in a folder, which can be resumed, `InMemory` nowhere.

Both have the same methods: `begin` returns the state to start from, `save` keeps one, `end` closes.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cganjax import files, report, run_folder, run_states
from cganjax import metrics as recorded
from cganjax.data import Dataset
from cganjax.training import config as cfg
from cganjax.training.manifest import manifest
from cganjax.training.metrics_log import MetricsLog
from cganjax.types import CheckpointError, UserError, Weights


def open_run(folder: Path | None, config: cfg.Config, *, overwrite: bool = False) -> "Run | InMemory":
    """A run in that folder, or in memory if the folder is None. Raises UserError as `Run` does."""
    return InMemory(config) if folder is None else Run(folder, config, overwrite=overwrite)


class InMemory:
    """A run that writes no file."""

    folder, done = None, 0

    def __init__(self, config: cfg.Config):
        self.config, self.metrics = config, _Rows()
        self.best: dict[str, Weights] | None = None  # the weights of the lowest loss, if the config keeps them
        self._saved, self._lowest = 0, None

    def begin(self, state: Any, dataset: Dataset, command: Sequence[str], devices: int = 1, block: int = 1) -> Any:
        """The given first state. The other arguments are for the record, see `Run.begin`."""
        self.manifest = manifest(self.config, dataset, command, devices, block=block)
        self._began = time.perf_counter()
        return state

    def save(self, step: int, state: Any) -> None:
        """Note the step; keep a copy of the weights if their loss is the lowest and the config asks for the best."""
        loss, self._saved = mean_loss(self.metrics.rows, self._saved), step
        if self.config.keep_best and (self._lowest is None or loss < self._lowest):
            self._lowest, self.best = loss, jax.tree.map(jnp.copy, state.weights())
        self.manifest["steps"] = step

    def end(self) -> None:
        """Bring the manifest up to date."""
        self.manifest["wall_time_s"] = round(time.perf_counter() - self._began, 1)


class _Rows:
    """What `MetricsLog` offers, without a file."""

    def __init__(self):
        self.rows: list[dict[str, Any]] = []

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append a row."""
        self.rows.append({"step": step, **values})


class Run:
    """One run folder, opened for one config."""

    def __init__(self, folder: Path, config: cfg.Config, *, overwrite: bool = False):
        """Claim the folder.

        Raises:
          UserError: the folder cannot be written, holds something else, or holds a run of another config.
          CheckpointError: the folder's config is damaged.
        """
        self.folder, self.config = folder, config
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: give a folder (out=)")
        if folder.is_dir() and any(folder.iterdir()):
            if not _holds_a_run(folder):
                raise UserError(f"{folder} is not empty and holds no run: choose another folder (out=)")
            if not overwrite:
                _check_same(folder, files.read_json(folder / run_folder.CONFIG), cfg.to_json(config))
        files.writable_folder(folder)
        self._fresh = overwrite
        self.done = 0 if overwrite else run_states.newest_step(folder)  # updates that the newest checkpoint holds

    def begin(self, state: Any, dataset: Dataset, command: Sequence[str], devices: int = 1, block: int = 1) -> Any:
        """The newest state in the folder, or the given first one if there is none yet.

        For the record are `command`, `devices`, the number that share a batch, and `block`, the steps in one call.

        Raises:
          UserError: the data are not those that the run began with.
          CheckpointError: the manifest or the newest checkpoint is damaged.
        """
        before = None
        if self._fresh:
            run_folder.remove_run(self.folder)
        elif (self.folder / run_folder.MANIFEST).exists():
            _, before = run_folder.read_run(self.folder)
            _check_same_images(self.folder, before, dataset)
        (self.folder / run_folder.SAMPLES).mkdir(exist_ok=True)
        self.manifest = manifest(self.config, dataset, command, devices, before, block)
        self._wall_before, self._began = self.manifest["wall_time_s"], time.perf_counter()
        files.write_json(self.folder / run_folder.CONFIG, cfg.to_json(self.config))
        files.write_json(self.folder / run_folder.MANIFEST, self.manifest)
        self.states = run_states.RunStates(self.folder, keep=self.config.keep, keep_best=self.config.keep_best)
        if self.done:
            state = self.states.restore(state, self.done)
        self.metrics = MetricsLog(self.folder / run_folder.METRICS, self.done)
        return state

    def save(self, step: int, state: Any) -> None:
        """Keep a state, and bring the curves up to date: a hook of the loop."""
        self.states.save(step, state, mean_loss(self.metrics.rows, self.done))
        self.done = self.manifest["steps"] = step
        self._write_manifest()
        report.save_curves(self.folder / run_folder.CURVES, self.metrics.rows, f"{self.folder.name}, to step {step}")

    def end(self) -> None:
        """Bring the manifest up to date and let go of the folder."""
        self._write_manifest()
        self.metrics.close()
        self.states.close()

    def _write_manifest(self) -> None:
        self.manifest["wall_time_s"] = round(self._wall_before + time.perf_counter() - self._began, 1)
        files.write_json(self.folder / run_folder.MANIFEST, self.manifest)


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


def _holds_a_run(folder: Path) -> bool:
    """Whether the config or the manifest there is one of ours; the other may be damaged."""
    fields = {field.name for field in dataclasses.fields(cfg.Config) if field.default is dataclasses.MISSING}
    for name, keys in ((run_folder.CONFIG, fields), (run_folder.MANIFEST, {"recipe", "seed", "data", "versions"})):
        try:
            if keys <= files.read_json(folder / name).keys():
                return True
        except CheckpointError:
            continue
    return False


def _check_same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to resume a run of another config, naming what differs; a field that it did not have yet is unset."""
    with contextlib.suppress(TypeError, KeyError):  # then it has fields that are not ours: they are named below
        there = cfg.to_json(cfg.from_json(there))
    for key in ("recipe", "seed", *wanted):
        if there.get(key) != wanted[key]:
            raise UserError(
                f"{folder} holds a run with {key} {there.get(key)}, and {key} {wanted[key]} was asked for: "
                "choose another folder (out=), or begin anew (overwrite=True)"
            )


def _check_same_images(folder: Path, before: Mapping[str, Any], dataset: Dataset) -> None:
    if before["data"]["fingerprint"] != dataset.fingerprint:
        raise UserError(
            f"{folder} was trained on other images than those of {dataset.source}: "
            "train on the same ones (dataset=, data_dir=), or choose another folder (out=)"
        )
