"""What a run's manifest records: the data, the versions, the device, and the state of the source code."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from cganjax.data import Dataset
from cganjax.training.config import Config

PACKAGES = ("cganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")
# What may differ between the parts of a run that was resumed.
_OF_A_PART = ("command", "versions", "device", "xla_flags", "jax_threefry_partitionable", "git")


def manifest(
    config: Config,
    dataset: Dataset,
    command: Sequence[str],
    devices: int = 1,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a run as JSON values.

    Args:
      config: the resolved run.
      dataset: what it trains on.
      command: what was called, as words.
      devices: the number of devices that share a batch.
      before: the manifest of the part that this one resumes.
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
        },
        "versions": versions(),
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_threefry_partitionable": jax.config.jax_threefry_partitionable,
        "git": git_state(),
        "steps": before.get("steps", 0) if before else 0,
        "wall_time_s": before.get("wall_time_s", 0.0) if before else 0.0,
        "earlier_parts": earlier,
        "devices": devices,
    }


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
