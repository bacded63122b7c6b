"""The files of a run folder: the resolved config, the manifest, and the names of the others.

The metrics are in `cganjax.metrics_lines`, the full states, `checkpoints/STEP/`, in `cganjax.run_states`, and the lock
is in `cganjax.run_lock`.
"""

import shutil
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cganjax import digests
from cganjax.files import read_json
from cganjax.types import CheckpointError

CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"
CURVES, SAMPLES, STATES = "curves.png", "samples", "checkpoints"
EVALUATION = "evaluation.txt"  # what `cganjax train` said of the samples at the end
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
    size: NotRequired[int]  # the side that pictures were resized to


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


# One time that a run was made longer: its number of steps before and after, and the step of the state that it went on
# from. From there on its schedules refer to the new number.
Extended = TypedDict("Extended", {"from": int, "at": int, "to": int})


class InitFrom(TypedDict):
    """The checkpoint that a run began with."""

    name: str
    steps: int | None
    roles: list[str]  # the networks that were taken from it
    digest: str  # of the digests of their arrays


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
    # Earlier versions did not write these:
    config: NotRequired[str]  # the digest of the config
    states: NotRequired[dict[str, str]]  # step -> the digest of the digests of the state's arrays
    metrics: NotRequired[dict[str, Seal]]  # step -> the lines of metrics.jsonl up to its checkpoint
    restored: NotRequired[list[Restored]]
    damage: NotRequired[list[str]]  # what was found damaged and was left out
    extended: NotRequired[list[Extended]]  # oldest first; only of a run that was made longer
    init_from: NotRequired[InitFrom]  # only of a run that began with a checkpoint
    digest: NotRequired[str]  # of all the rest


def read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the manifest of a run folder, as JSON values.

    Both are held against their digests; those of earlier versions have none. If a process was killed while it made a
    run longer, the manifest has the new length already: the config that is returned has it too.

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
    if manifest.get("extended") and manifest["extended"][-1]["from"] == config["steps"]:
        config = config | {"steps": manifest["extended"][-1]["to"]}
    if manifest.get("config") != digests.of_json(config):
        raise CheckpointError(f"{run / CONFIG} is damaged: it differs from its digest in {MANIFEST}")
    return config, manifest


def remove_run(run: Path) -> None:
    """Delete what a run wrote into its folder, and nothing else; its config and lock stay until others replace them.

    The states go first: wherever this is interrupted, none is left beside the config of another run.
    """
    for name in (STATES, SAMPLES):  # what is in them: they may be links to another disk
        for path in [*(run / name).iterdir()] if (run / name).is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in (run / MANIFEST, run / CURVES, run / EVALUATION, *run.glob(f"{METRICS}*")):
        path.unlink(missing_ok=True)


def remove_parts(run: Path) -> None:
    """Delete what interrupted writes have left: half-written files, and checkpoints that Orbax has not finished."""
    for part in (*run.glob("*.part"), *run.glob(f"{SAMPLES}/*.part"), *run.glob(f"{STATES}/*.orbax-checkpoint-tmp*")):
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
