"""The run folder: what a training writes, when it may resume there, and what its manifest records."""

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cganjax import checkpoint as ckpt
from cganjax import files, pixels, report, rng
from cganjax.data import Dataset
from cganjax.models import Networks
from cganjax.training import config as cfg
from cganjax.training.metrics_log import MetricsLog
from cganjax.types import CheckpointError, UserError

PACKAGES = ("cganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")


class Run:
    """One run folder, opened for one config. `begin` gives the state to go on from, `save` keeps one, `end` closes."""

    def __init__(self, folder: Path, config: cfg.Config, *, overwrite: bool = False):
        """Claim the folder.

        Raises:
          UserError: it cannot be written, holds something else, or holds a run of another config.
        """
        self.folder, self.config = folder, config
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: give a folder as --out")
        if folder.is_dir() and any(folder.iterdir()):
            if not _holds_a_run(folder):
                raise UserError(f"{folder} is not empty and holds no run: choose another --out")
            if not overwrite:
                _same(folder, files.read_json(folder / ckpt.CONFIG), cfg.to_json(config))
        files.writable_folder(folder)
        self._fresh = overwrite
        self.done = 0 if overwrite else ckpt.newest_step(folder)  # updates that the newest checkpoint holds

    def begin(self, state: Any, dataset: Dataset, command: Sequence[str], devices: int = 1) -> Any:
        """The newest state in the folder, or the given first one where there is none yet.

        `command` and `devices`, the number that share a batch, are for the record.

        Raises:
          UserError: the data are not those that the run began with.
        """
        before = None
        if self._fresh:
            ckpt.remove_run(self.folder)
        elif (self.folder / ckpt.MANIFEST).exists():
            _, before = ckpt.read_run(self.folder)
            if before["data"]["fingerprint"] != dataset.fingerprint:
                raise UserError(
                    f"{self.folder} was trained on other images than those of {dataset.source}: "
                    "point --data-dir at the same ones, or choose another --out"
                )
        (self.folder / ckpt.SAMPLES).mkdir(exist_ok=True)
        self.manifest = manifest(self.config, dataset, command, before) | {"devices": devices}
        self._wall_before, self._began = self.manifest["wall_time_s"], time.perf_counter()
        files.write_json(self.folder / ckpt.CONFIG, cfg.to_json(self.config))
        files.write_json(self.folder / ckpt.MANIFEST, self.manifest)
        self.states = ckpt.RunStates(self.folder, keep=self.config.keep, keep_best=self.config.keep_best)
        if self.done:
            state = self.states.restore(state, self.done)
        self.metrics = MetricsLog(self.folder / ckpt.METRICS, self.done)
        return state

    def save(self, step: int, state: Any) -> None:
        """Keep a state, and bring the curves up to date: a hook of the loop."""
        self.states.save(step, state, self._mean_loss())
        self.done = self.manifest["steps"] = step
        self._write_manifest()
        report.save_curves(self.folder / ckpt.CURVES, self.metrics.rows, f"{self.folder.name}, to step {step}")

    def _mean_loss(self) -> float:
        """The mean loss of G, or of the classifier, over the steps since the last checkpoint."""
        rows = [row for row in self.metrics.rows if row["step"] > self.done and "steps" in row]
        values = [(row["steps"], row.get("loss_generator", row.get("loss"))) for row in rows]
        return sum(n * loss for n, loss in values) / sum(n for n, _ in values)

    def end(self) -> None:
        """Bring the manifest up to date and let go of the folder."""
        self._write_manifest()
        self.metrics.close()
        self.states.close()

    def _write_manifest(self) -> None:
        self.manifest["wall_time_s"] = round(self._wall_before + time.perf_counter() - self._began, 1)
        files.write_json(self.folder / ckpt.MANIFEST, self.manifest)


def devices_before(folder: Path) -> int | None:
    """How many devices shared a batch in the run of this folder, on which its bits hang; None where there is no run."""
    try:
        return ckpt.read_run(folder)[1].get("devices", 1)
    except (CheckpointError, OSError):  # whoever opens the folder to train there says what is wrong with it
        return None


class Preview:
    """Draws sample grids during a run, of the same latents each time: a row a class, or any where there is none."""

    def __init__(self, folder: Path, networks: Networks, key: jax.Array, columns: int = 10):
        classes, latents = networks.num_classes, rng.stream(key, "preview")
        if classes is None:
            self._inputs = (jax.random.normal(latents, (columns * columns, networks.latent_size)),)
        else:
            z = jax.random.normal(latents, (columns, networks.latent_size))
            self._inputs = (jnp.tile(z, (classes, 1)), jnp.repeat(jnp.arange(classes), columns))
        self._folder, self._columns = folder, columns
        self._generate = jax.jit(networks.generator.apply)
        self.last: Path | None = None

    def __call__(self, step: int, state: Any) -> None:
        images = pixels.signed_to_unit(self._generate(state.weights()["generator"], *self._inputs))
        self.last = self._folder / f"{step:06d}.png"
        report.save_png(self.last, report.grid(np.asarray(images), self._columns))


class Trial:
    """Tries a classifier on test data after each epoch, and writes loss and accuracy into the metrics: a hook.

    For the curves alone: nothing in a run is chosen by them.
    """

    def __init__(self, run: Run, networks: Networks, dataset: Dataset, size: int = 1000):
        self._run, self._dataset, self._size = run, dataset, size
        self._classify = jax.jit(networks.classifier.apply)

    def __call__(self, step: int, state: Any) -> None:
        config = self._run.config
        if step % config.epoch_steps and step != config.steps:
            return  # the run stops early here; where it goes on no line should be left of that
        weights, labels, size = state.weights()["classifier"], self._dataset.labels, self._size
        logits = np.concatenate(
            [
                self._classify(weights, pixels.rest_to_unit(self._dataset.images[i : i + size]))
                for i in range(0, len(labels), size)
            ]
        )
        loss = float(optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean())
        right = logits.argmax(axis=1) == labels
        by_class = [float(right[labels == k].mean()) for k in range(self._dataset.num_classes)]
        test = {"test_loss": loss, "test_accuracy": float(right.mean()), "test_accuracy_by_class": by_class}
        self._run.metrics.write(step, test)


# What may be another in each part of a run that was resumed.
_OF_A_PART = ("command", "versions", "device", "xla_flags", "jax_threefry_partitionable", "git")


def manifest(
    config: cfg.Config, dataset: Dataset, command: Sequence[str], before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a run did and with what, as JSON values; `before` is the manifest of the part that this one resumes."""
    device = jax.devices()[0]
    earlier = [*before.get("earlier_parts", []), {k: before.get(k) for k in ("steps", *_OF_A_PART)}] if before else []
    return {
        "recipe": config.recipe,
        "seed": config.seed,
        "command": shlex.join(command),
        "data": {
            "name": dataset.name,
            "split": dataset.split,
            "images": len(dataset.images),
            "num_classes": dataset.num_classes,
            "spec": dataset.spec.to_json(),
            "fingerprint": dataset.fingerprint,
            "source": dataset.source,
            "notes": list(dataset.notes),
        },
        "versions": versions(),
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_threefry_partitionable": jax.config.jax_threefry_partitionable,
        "git": git_state(),
        "steps": before.get("steps", 0) if before else 0,
        "wall_time_s": before.get("wall_time_s", 0.0) if before else 0.0,
        "earlier_parts": earlier,
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide what a run computes."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_state() -> dict[str, Any]:
    """The commit of the source checkout and whether it was changed since; None where there is no checkout."""
    where = Path(__file__).resolve().parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def _holds_a_run(folder: Path) -> bool:
    """Whether the config or the manifest there is one of ours; the other may be damaged."""
    fields = {field.name for field in dataclasses.fields(cfg.Config) if field.default is dataclasses.MISSING}
    for name, keys in ((ckpt.CONFIG, fields), (ckpt.MANIFEST, {"recipe", "seed", "data", "versions"})):
        try:
            if keys <= files.read_json(folder / name).keys():
                return True
        except CheckpointError:
            continue
    return False


def _same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a run of another config, naming what differs; a field that it did not have yet is unset."""
    with contextlib.suppress(TypeError, KeyError):  # then it has fields that are not ours: they are named below
        there = cfg.to_json(cfg.from_json(there))
    for key in ("recipe", "seed", *wanted):
        if there.get(key) != wanted[key]:
            raise UserError(
                f"{folder} holds a run with {key} {there.get(key)}, and {key} {wanted[key]} was asked for: "
                "choose another --out, or add --overwrite to begin anew"
            )
