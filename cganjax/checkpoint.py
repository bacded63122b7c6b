"""A shipped checkpoint: `card.json` and `weights.npz`, and of a feature extractor `reference.json` and `reference.npz`.

Only arrays and JSON are read, never code, and a checkpoint may come from a stranger: no file name, module or size is
taken from it unchecked.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np

from cganjax import checks, run_folder, sealed
from cganjax.types import BadType, CheckpointError, UnknownCheckpoint, Weights

CARD, WEIGHTS, GRID = "card.json", "weights.npz", "grid.png"  # of a shipped checkpoint
FORMAT, OLDEST = 3, 2  # of the card
REFERENCE, REFERENCE_ARRAYS = "reference.json", "reference.npz"  # of an extractor, see `evaluation.reference`
REFERENCE_FORMAT, OLDEST_REFERENCE = 2, 1
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"  # what a checkpoint may be called: a plain file name
DEFAULT = "mnist"  # the shipped generator that functions and commands load unless they are told otherwise

_HERE = Path(__file__).resolve().parent
# An installed wheel has the checkpoints inside the package; a source checkout has them beside it.
_SHELVES = (_HERE / "checkpoints", _HERE.parent / "checkpoints")
_DEEPEST = 16  # levels of the tree of a network's weights; a name of an array with more is no name of ours


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
    # Unlike Path's, these methods know no error: "~nobody", or a name that is too long, is a path that does not exist.
    path = Path(os.path.expanduser(checkpoint))
    if not os.path.exists(path):
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


_Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]  # neither infinite nor NaN


class _Threshold(TypedDict):
    threshold: _Finite


class _Card(TypedDict):
    """What every card has. What it says of networks and data is checked where they are built, in `sampling.cards`."""

    format: int
    name: Annotated[str, msgspec.Meta(pattern=rf"\A{NAME}\Z", max_length=200)]  # files are named after it
    roles: list[str]
    config: dict[str, Any]
    weights: sealed.Arrays
    recipe: NotRequired[str]
    seed: NotRequired[int]
    steps: NotRequired[int]
    data: NotRequired[dict[str, Any]]
    metrics: NotRequired[dict[str, Any]]
    init_from: NotRequired[dict[str, Any]]
    quality: NotRequired[dict[str, Any]]
    thresholds: NotRequired[dict[str, _Threshold]]


def read_card(folder: Path) -> dict[str, Any]:
    """Read `card.json` and check its digest. Cards of format 2, which have none, are read too.

    Raises:
      CheckpointError: the file is missing, damaged, or no card of ours; it is named.
    """
    return sealed.read_values(folder / CARD, _Card, FORMAT, OLDEST)


def read_weights(folder: Path, card: Mapping[str, Any]) -> dict[str, Weights]:
    """Check the digest of `weights.npz`, and read the weights of each network by its name.

    Raises:
      CheckpointError: the file cannot be read, is not the one of the card, or holds something else than weights.
    """
    arrays = sealed.read_arrays(folder / WEIGHTS, card["weights"])
    try:
        return {name: Weights(**{"statistics": {}, **parts}) for name, parts in _nest(arrays).items()}
    except TypeError:
        raise CheckpointError(f"{folder / WEIGHTS} holds other arrays than weights: get the checkpoint again") from None


def write_shipped(folder: Path, card: Mapping[str, Any], networks: Mapping[str, Weights]) -> None:
    """Write `weights.npz` and then `card.json`: a folder without a card is no checkpoint, so none is half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _flat({name: weights._asdict() for name, weights in networks.items()})
    sealed.write(folder / CARD, folder / WEIGHTS, {"format": FORMAT, **card}, "weights", arrays)


def verify(folder: Path) -> None:
    """Check every file of a checkpoint folder by its digests, without building a network.

    Covered are `card.json` and `weights.npz`, and, if the folder has a reference, `reference.json` and `reference.npz`:
    each JSON file by its own digest and the kinds of its values, each array file as a whole and array by array, and
    that the reference was made with these weights. Any changed bit in one of the four files is found, except in spaces
    between JSON values. Files of older formats (cards of format 2, references of format 1) have no digest of their own:
    of them only the arrays are covered.

    Not covered are `grid.png`, which nothing reads, whether the weights fit the networks of the card and are finite,
    which loading checks, and run folders.

    >>> verify(find("mnist"))

    Args:
      folder: a shipped checkpoint, as `find` or `shipped` returns it.

    Raises:
      CheckpointError: a file is missing, damaged, or was made by something else; it is named.
    """
    card = read_card(folder)
    read_weights(folder, card)
    if read_reference(folder, card["weights"]["sha256"]) is None and (folder / REFERENCE_ARRAYS).exists():
        raise CheckpointError(f"{folder / REFERENCE_ARRAYS} has no {REFERENCE} beside it: make the reference again")


# --- the reference beside an extractor --------------------------------------------------------------------------------


class _Extractor(TypedDict):
    name: str
    sha256: str  # of its weights


class _ReferenceCard(TypedDict):
    format: int
    extractor: _Extractor
    judge: NotRequired[str | None]  # the SHA-256 of the reference classifier, under its former name
    data: dict[str, Any]
    scale: Annotated[float, msgspec.Meta(gt=0, le=1e300)]
    train: dict[str, Any]
    arrays: sealed.Arrays
    rows: dict[str, dict[str, Any]]


def read_reference(folder: Path, weights: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """What the two files of a reference hold, or None if the folder has none.

    Args:
      folder: of the extractor.
      weights: the SHA-256 of the extractor's weights.

    Raises:
      CheckpointError: a file is damaged, or was made for other weights; it is named.
    """
    path = folder / REFERENCE
    if not path.exists():
        return None
    values = sealed.read_values(path, _ReferenceCard, REFERENCE_FORMAT, OLDEST_REFERENCE)
    if values["extractor"]["sha256"] != weights:
        raise CheckpointError(f"{path} was made for other weights than those beside it: make it again")
    return values, sealed.read_arrays(folder / REFERENCE_ARRAYS, values["arrays"])


def write_reference(folder: Path, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> int:
    """Write `reference.npz` and then `reference.json`. Returns the size of the first in bytes."""
    card = {"format": REFERENCE_FORMAT, **values}
    return sealed.write(folder / REFERENCE, folder / REFERENCE_ARRAYS, card, "arrays", arrays)


# --- nested arrays by one name each -----------------------------------------------------------------------------------


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    flat = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {prefix + key: np.asarray(value)}
    return flat


def _nest(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *outer, name = path.split("/", _DEEPEST)
        node = tree
        for key in outer:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise TypeError(f"{path} lies below an array")
        if node.setdefault(name, value) is not value:
            raise TypeError(f"{path} is also above other arrays")
    return tree
