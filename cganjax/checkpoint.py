"""Weights on disk in two forms: a run's full state (Orbax), and a shipped checkpoint (one array file and a card).

A run folder holds `config.json`, `manifest.json` and `checkpoints/STEP/`; a shipped checkpoint holds `card.json` and
`weights.npz`. Only arrays and JSON are read, never code.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cganjax.files import quiet, read_json, write_file, write_json
from cganjax.types import CheckpointError, UnknownCheckpoint, Weights

CARD, WEIGHTS, GRID = "card.json", "weights.npz", "grid.png"  # of a shipped checkpoint
CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"  # of a run folder
CURVES, SAMPLES, STATES = "curves.png", "samples", "checkpoints"
FORMAT = 2
DEFAULT = "mnist"  # the shipped generator that functions and commands load unless they are told otherwise

_HERE = Path(__file__).resolve().parent
# An installed wheel has the checkpoints inside the package; a source checkout has them beside it.
_SHELVES = (_HERE / "checkpoints", _HERE.parent / "checkpoints")


# --- names ------------------------------------------------------------------------------------------------------------


def shipped() -> dict[str, Path]:
    """The folder of every shipped checkpoint, by name."""
    shelf = _shelf()
    folders = [] if shelf is None else sorted(p.parent for p in shelf.glob(f"*/{CARD}"))
    return {folder.name: folder for folder in folders}


def _shelf() -> Path | None:
    return next((s for s in _SHELVES if s.is_dir()), None)


def checkpoints() -> dict[str, dict[str, Any]]:
    """The card of every shipped checkpoint, by name.

    `card["roles"]` says what it can be loaded as ("generator", "classifier", "discriminator") and what it is used for.

    >>> import cganjax
    >>> cganjax.checkpoints()["mnist"]["recipe"]
    'mnist'
    """
    return {name: read_card(folder) for name, folder in shipped().items()}


def find(checkpoint: str | os.PathLike) -> Path:
    """The folder of a shipped name (hyphens and underscores are alike), a run folder, or a checkpoint folder.

    Raises:
      UnknownCheckpoint: there is no such checkpoint; the shipped names are listed.
    """
    shelf, wanted = _shelf(), str(checkpoint).replace("_", "-")
    # This runs at every call of `sample`: unlike `shipped`, it looks for one card only.
    for name in [] if shelf is None else sorted(os.listdir(shelf)):
        if wanted == name.replace("_", "-") and (shelf / name / CARD).exists():
            return shelf / name
    path = Path(checkpoint).expanduser()
    if not path.exists():
        known = ", ".join(shipped())
        raise UnknownCheckpoint(
            f"no checkpoint {str(checkpoint)!r}: give a run folder, a checkpoint folder, or one of {known}"
        )
    return path.resolve()


def stamp(folder: Path) -> tuple[int | None, ...]:
    """When the folder and the files of a checkpoint were last changed, in ns; None for one that does not exist."""
    return tuple(_changed(f"{folder}{name}") for name in ("", f"/{CARD}", f"/{WEIGHTS}", f"/{STATES}"))


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


# --- shipped checkpoints ----------------------------------------------------------------------------------------------


def read_card(folder: Path) -> dict[str, Any]:
    """Read `card.json`. Raises CheckpointError naming the file if it is no card of ours."""
    card = read_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CARD} is no card of format {FORMAT}: it was made by something else")
    for name, kind in {"name": str, "roles": list, "config": dict, "weights": dict}.items():
        if not isinstance(card.get(name), kind):
            raise CheckpointError(f"{folder / CARD} is damaged: {name} is {card.get(name)!r}")
    return card


def read_weights(folder: Path, card: Mapping[str, Any]) -> dict[str, Weights]:
    """Check the digest of `weights.npz`, and read the weights of each network by its name.

    Raises:
      CheckpointError: the file cannot be read, is not the one of the card, or holds something else than arrays.
    """
    path = folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): get the checkpoint again") from None
    if hashlib.sha256(data).hexdigest() != card["weights"].get("sha256"):
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one of its card; get the checkpoint again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            tree = _nest({name: arrays[name] for name in arrays.files})
            return {name: Weights(node["params"], node.get("statistics", {})) for name, node in tree.items()}
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise CheckpointError(f"{path} holds no plain arrays ({error})") from None


def write_shipped(folder: Path, card: Mapping[str, Any], networks: Mapping[str, Weights]) -> None:
    """Write `weights.npz` and then `card.json`: a folder without a card is no checkpoint, so none is half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **_flat({name: weights._asdict() for name, weights in networks.items()}))
    data = buffer.getvalue()
    write_file(folder / WEIGHTS, data)
    weights = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    write_json(folder / CARD, {"format": FORMAT, **card, "weights": weights})


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    flat = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {prefix + key: np.asarray(value)}
    return flat


def _nest(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *outer, name = path.split("/")
        node = tree
        for key in outer:
            node = node.setdefault(key, {})
        node[name] = value
    return tree


# --- the state of a run -----------------------------------------------------------------------------------------------


class RunStates:
    """The Orbax checkpoints of a run folder: the newest `keep`, each a whole state. None is half-written."""

    def __init__(self, run: Path, keep: int | None = None, keep_best: bool = False):
        """Open them, to read only if `keep` is None. With `keep_best` the one with the lowest loss is kept as well."""
        import orbax.checkpoint as ocp

        self._ocp = ocp
        self.folder = (run / STATES).resolve()
        policy = ocp.checkpoint_managers
        kept = [] if keep is None else [policy.LatestN(keep)]
        if keep_best:
            kept.append(policy.BestN(get_metric_fn=_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False))
        with quiet("absl"):  # Orbax logs each act at length
            # Saving waits for the disk, because the next step takes over the state's memory.
            options = ocp.CheckpointManagerOptions(
                preservation_policy=policy.AnyPreservationPolicy(kept) if kept else None,
                best_fn=_loss,
                best_mode="min",
                enable_async_checkpointing=False,
                read_only=keep is None,
                cleanup_tmp_directories=keep is not None,
            )
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    def steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def best(self) -> int | None:
        """The step of the checkpoint with the lowest loss."""
        return self._manager.best_step()

    def save(self, step: int, state: Any, loss: float) -> None:
        """Keep the state of `step`, ranked by `loss`; saving the same step again does nothing."""
        if step not in self._manager.all_steps():
            with quiet("absl"):
                self._manager.save(step, args=self._ocp.args.StandardSave(state), metrics={"loss": loss}, force=True)

    def restore(self, like: Any, step: int | None = None) -> Any:
        """The state of `step` (None: the newest), on this process's device, with the structure of `like`.

        Raises:
          CheckpointError: there is none, or it cannot be read as such a state.
        """
        steps = self.steps()
        step = steps[-1] if step is None and steps else step
        if step not in steps:
            raise CheckpointError(f"{self.folder} holds no checkpoint{'' if step is None else f' of step {step}'}")
        try:
            with quiet("absl"):
                return self._manager.restore(step, args=self._ocp.args.StandardRestore(like))
        except Exception as error:  # Orbax and TensorStore have no common error
            reason = str(error).strip().split(":")[0].splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(
                f"{self.folder / str(step)} is damaged or foreign ({reason}): delete it to go on from an earlier one"
            ) from error

    def close(self) -> None:
        """Close the folder."""
        self._manager.close()


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def newest_step(run: Path) -> int:
    """The step of a run folder's newest complete checkpoint, or 0 if it has none."""
    if not (run / STATES).is_dir():
        return 0
    states = RunStates(run)
    steps = states.steps()
    states.close()
    return max(steps, default=0)


def read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the manifest of a run folder, as JSON values. Raises CheckpointError naming the damaged file."""
    config, manifest = read_json(run / CONFIG), read_json(run / MANIFEST)
    if not all(isinstance(manifest.get(name), dict) for name in ("data", "versions", "git")):
        raise CheckpointError(f"{run / MANIFEST} is damaged: it is no manifest of a run")
    return config, manifest


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, oldest first; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def remove_run(run: Path) -> None:
    """Delete what a run wrote into its folder, and nothing else."""
    for name in (STATES, SAMPLES):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in (CONFIG, MANIFEST, METRICS, CURVES):
        (run / name).unlink(missing_ok=True)
