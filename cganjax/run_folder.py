"""The files of a run folder: the resolved config, the manifest, the metrics, and the names of the others.

The full states, `checkpoints/STEP/`, are in `cganjax.run_states`; the lock is in `cganjax.run_lock`.
"""

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cganjax import digests
from cganjax.files import check_kind, read_json
from cganjax.types import CheckpointError, RunFolderWarning

CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"
CURVES, SAMPLES, STATES = "curves.png", "samples", "checkpoints"
LOCK = ".cganjax.lock"  # also the sign that a folder is a run folder, before it has any other file


class Config(TypedDict):
    """What every config holds; an algorithm's own settings are checked where they are used."""

    recipe: str
    algorithm: str
    dataset: str
    split: str
    seed: int
    steps: int
    batch_size: int
    family: str


class Data(TypedDict):
    """What a manifest says of the data."""

    name: str
    split: str
    images: int
    num_classes: int
    fingerprint: str
    source: NotRequired[str]
    place: NotRequired[str]
    notes: NotRequired[list[str]]
    spec: NotRequired[dict[str, Any]]


class Seal(TypedDict):
    """The lines of the metrics that belong to a checkpoint: how many, and the SHA-256 of their bytes."""

    lines: int
    digest: str
    cut: NotRequired[dict[str, Any]]  # the sums of an interval between two lines that the checkpoint lies in


class Restored(TypedDict):
    """One return to the last good state, after a loss or a parameter was not finite."""

    step: int  # after which it was seen
    what: str  # the name of the loss, or "a parameter"
    to: int  # the step of the state that the run went on from
    skipped: int  # batches that were left out


class Manifest(TypedDict):
    """What every manifest holds; it may hold more."""

    recipe: str
    seed: int
    command: str
    data: Data
    versions: dict[str, str]
    device: dict[str, Any]
    git: dict[str, Any]
    steps: int
    wall_time_s: float
    earlier_parts: list[dict[str, Any]]
    devices: NotRequired[int]
    # Of runs from version 0.2 on:
    config: NotRequired[str]  # the digest of the config
    states: NotRequired[dict[str, str]]  # step -> the digest of the digests of the state's arrays
    metrics: NotRequired[dict[str, Seal]]  # step -> the lines of metrics.jsonl up to its checkpoint
    restored: NotRequired[list[Restored]]
    damage: NotRequired[list[str]]  # what was found damaged and was left out
    digest: NotRequired[str]  # of all the rest


class _Row(TypedDict):
    step: int


def read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the manifest of a run folder, as JSON values.

    Both are held against their digests; those of earlier versions have none.

    Raises:
      CheckpointError: one is missing or damaged; the message names it.
    """
    config, manifest = read_json(run / CONFIG, Config), read_json(run / MANIFEST, Manifest)
    digest = manifest.pop(digests.DIGEST, None)
    # One flipped byte cannot hide both names, so a manifest with a digest never passes for one of an earlier version.
    if digest is None and "config" not in manifest and "states" not in manifest:
        return config, manifest
    if digest != digests.of_json(manifest):
        raise CheckpointError(f"{run / MANIFEST} is damaged: it differs from its digest")
    if manifest.get("config") != digests.of_json(config):
        raise CheckpointError(f"{run / CONFIG} is damaged: it differs from its digest in {MANIFEST}")
    return config, manifest


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, oldest first, without a last line that a crash cut short.

    A damaged line is left out, with a RunFolderWarning that names it.
    """
    lines = parse_metrics(path.read_bytes()) if path.exists() else []
    if damaged := [i for i, (_, row) in enumerate(lines, 1) if row is None]:
        warnings.warn(f"{path} is damaged in {said_lines(damaged)}, left out here", RunFolderWarning, stacklevel=2)
    return [row for _, row in lines if row is not None]


def parse_metrics(data: bytes) -> list[tuple[bytes, dict[str, Any] | None]]:
    """The lines of a `metrics.jsonl`, each as it is and as a row; None stands for the row of a damaged line.

    A last line that a crash cut short is left out.
    """
    *whole, last = ((line, _row(line)) for line in data.split(b"\n"))
    return whole if last[1] is None else [*whole, last]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
        check_kind(values, _Row, METRICS)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, no row
        return None
    return values


def said_lines(numbers: Sequence[int]) -> str:
    """Numbers of lines in words: "line 3" or "lines 3, 5, 6"; of many the first ones.

    >>> said_lines([3]), said_lines([3, 5])
    ('line 3', 'lines 3, 5')
    """
    shown = ", ".join(map(str, numbers[:10])) + f" and {len(numbers) - 10} more" * (len(numbers) > 10)
    return f"line{'s' * (len(numbers) > 1)} {shown}"


def remove_run(run: Path) -> None:
    """Delete what a run wrote into its folder, and nothing else; its config and lock stay until others replace them.

    The states go first: wherever this is interrupted, none is left beside the config of another run.
    """
    for name in (STATES, SAMPLES):  # what is in them: they may be links to another disk
        for path in [*(run / name).iterdir()] if (run / name).is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in (run / MANIFEST, run / CURVES, *run.glob(f"{METRICS}*")):
        path.unlink(missing_ok=True)


def remove_parts(run: Path) -> None:
    """Delete what interrupted writes have left: half-written files, and checkpoints that Orbax has not finished."""
    for part in (*run.glob("*.part"), *run.glob(f"{SAMPLES}/*.part"), *run.glob(f"{STATES}/*.orbax-checkpoint-tmp*")):
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
