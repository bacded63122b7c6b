"""What a run's manifest records: the data, the versions, the device, the threads, and the state of the source code.

`changes` compares two such records, of two parts of a run or of a run and its repetition.
"""

import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cganjax import determinism, parallel
from cganjax.data import Dataset
from cganjax.training.config import Config

PACKAGES = ("cganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")
# What may differ between the parts of a run that was resumed.
_OF_A_PART = (
    "command",
    "versions",
    "device",
    "devices",
    "processes",
    "processor",
    "cores",
    "threads",
    "deterministic",
    "block",
    "xla_flags",
    "jax_threefry_partitionable",
    "git",
)
# The packages whose versions decide the bits of a training step.
_OF_A_STEP = ("cganjax", "jax", "jaxlib", "flax", "optax")


def manifest(
    config: Config,
    dataset: Dataset,
    command: Sequence[str],
    devices: int = 1,
    before: Mapping[str, Any] | None = None,
    block: int = 1,
    init_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a run as JSON values.

    Args:
      config: the resolved run.
      dataset: what it trains on.
      command: what was called, as words.
      devices: the number of devices that share a batch.
      before: the manifest of the part that this one resumes.
      block: the number of steps in one call of the device.
      init_from: what is recorded of the checkpoint that the run began with, if any.
    """
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
            "place": dataset.place,
            "notes": list(dataset.notes),
            **({"size": dataset.size} if dataset.size else {}),
        },
        "versions": versions(),
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "devices": devices,
        "processes": jax.process_count(),
        "processor": determinism.processor(),
        "cores": parallel.cores(),
        "threads": determinism.threads(devices),
        "deterministic": determinism.fixed(),
        "block": block,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_threefry_partitionable": jax.config.jax_threefry_partitionable,
        "git": git_state(),
        "steps": before.get("steps", 0) if before else 0,
        "wall_time_s": before.get("wall_time_s", 0.0) if before else 0.0,
        "earlier_parts": earlier,
    } | ({"init_from": dict(init_from)} if init_from else {})


class Change(NamedTuple):
    """Something on which the last bits depend, and that is not as it was."""

    what: str
    before: Any
    now: Any
    advice: str  # how to have it as it was

    def __str__(self) -> str:
        return f"{self.what}: {self.before} then, {self.now} now"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What decides the last bits of a run and differs between two records; what one does not record is left out.

    Args:
      before: a manifest, or one of its `earlier_parts`.
      now: another one.
    """
    found = []

    def compare(what: str, of: Callable[[Mapping[str, Any]], Any], advice: str) -> None:
        values = [of(record) for record in (before, now)]
        if None not in values and values[0] != values[1]:
            found.append(Change(what, *values, advice))

    compare("backend", lambda r: _device(r, "platform"), "choose the same backend")
    backends = {_device(record, "platform") for record in (before, now)}
    if backends == {"cpu"}:
        compare("kind of CPU", lambda r: r.get("processor"), "use the same kind of machine")
        if before.get("devices", 1) == now.get("devices", 1):  # devices share the cores: their number is the cause
            compare("CPU threads for each device", lambda r: r.get("threads"), _give_cores(before))
    elif "cpu" not in backends:
        compare("kind of device", lambda r: _device(r, "kind"), "use the same kind of device")
        compare("deterministic", lambda r: r.get("deterministic"), "choose the same again")
    compare("devices that share a batch", lambda r: r.get("devices"), f"give devices={before.get('devices')}")
    compare("processes", lambda r: r.get("processes"), f"start {before.get('processes')} of them")
    compare("steps in one call", lambda r: r.get("block"), f"give block={before.get('block')}")
    for package in _OF_A_STEP:
        version = (before.get("versions") or {}).get(package)
        compare(f"version of {package}", lambda r, p=package: (r.get("versions") or {}).get(p), f"install {version}")
    compare("jax_threefry_partitionable", lambda r: r.get("jax_threefry_partitionable"), "set the same option of JAX")
    compare("XLA_FLAGS", _flags, "set the same XLA_FLAGS")
    return found


def _device(record: Mapping[str, Any], what: str) -> str | None:
    return (record.get("device") or {}).get(what)


def _give_cores(record: Mapping[str, Any]) -> str:
    """How to have the threads of an earlier part again."""
    if record.get("deterministic"):
        return "make it deterministic again"
    return f"give the process {record.get('cores')} CPU core{'s' * (record.get('cores') != 1)}, as `taskset` does"


def _flags(record: Mapping[str, Any]) -> str | None:
    """XLA's flags without those that `deterministic` stands for."""
    flags = record.get("xla_flags")
    return None if flags is None else " ".join(f for f in flags.split() if f not in determinism.GPU_FLAGS) or "none"


def resumed_otherwise(manifest: Mapping[str, Any]) -> list[str]:
    """A warning for each change since the part of the run before the newest one that decides the last bits."""
    before = (manifest["earlier_parts"] or [{"steps": 0}])[-1]
    if not before["steps"]:  # the process was stopped before its first checkpoint: nothing of it is left
        return []
    return [
        f"{change.what}: this run stopped at step {before['steps']} with {change.before} and goes on with "
        f"{change.now}, so its last bits can differ from those of an uninterrupted run. To avoid that, "
        f"{change.advice} (docs/how-to/determinism.md)"
        for change in changes(before, manifest)
    ]


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide what a run computes."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_state() -> dict[str, Any]:
    """The commit of the source checkout and whether it was changed since; None if there is no checkout."""
    where = Path(__file__).resolve().parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
