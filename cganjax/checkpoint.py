"""A shipped checkpoint: `card.json` and `weights.npz`. Only arrays and JSON are read, never code."""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cganjax import checks, run_folder
from cganjax.files import read_json, write_file, write_json
from cganjax.types import BadType, CheckpointError, UnknownCheckpoint, Weights

CARD, WEIGHTS, GRID = "card.json", "weights.npz", "grid.png"  # of a shipped checkpoint
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
      BadType: it is neither a name nor a path.
    """
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise BadType(f"checkpoint is {type(checkpoint).__name__}: expected a name or a path")
    shelf, wanted = _shelf(), str(checkpoint).replace("_", "-")
    # This runs at every call of `sample`: unlike `shipped`, it looks for one card only.
    for name in [] if shelf is None else sorted(os.listdir(shelf)):
        if wanted == name.replace("_", "-") and (shelf / name / CARD).exists():
            return shelf / name
    try:
        path = Path(checkpoint).expanduser()
        there = path.exists()
    except (OSError, ValueError, RuntimeError):  # a name that is too long, NUL in it, ~nobody, or no rights
        there = False
    if not there:
        known = ", ".join(shipped())
        raise UnknownCheckpoint(
            f"no checkpoint {checks.shown(str(checkpoint))}: give a run folder, a checkpoint folder, or one of {known}"
        )
    return path.resolve()


def stamp(folder: Path) -> tuple[int | None, ...]:
    """When the folder and the files of a checkpoint were last changed, in ns; None for one that does not exist."""
    return tuple(_changed(f"{folder}{name}") for name in ("", f"/{CARD}", f"/{WEIGHTS}", f"/{run_folder.STATES}"))


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
