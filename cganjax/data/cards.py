"""From a checkpoint's card back to the data set that the checkpoint was trained on."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cganjax.data import folder, known
from cganjax.data.record import GIVEN, Dataset, NotFound
from cganjax.data.sources import data_folder, load
from cganjax.types import CheckpointError, UserError


def of_card(card: Mapping[str, Any], split: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """The data set that a checkpoint was trained on.

    >>> of_card({"name": "mine", "data": {"name": "digits", "num_classes": 10}}, "test").images.shape
    (297, 28, 28, 1)

    A folder or an .npz file is looked for in the data folder, then at its place of then. The fingerprint in the card
    must agree: of `split` if the card has it, else of the split in the card. Sets that are known by name and whose
    files are the published ones need no second look.

    Args:
      card: a checkpoint's card or a run's manifest: `name`, and `data` with the data set's `name` and, if they are
        known, `split`, `fingerprint`, `spec`, `place` and `size`, to which pictures of a folder are resized.
      split: "train", "test" or "all", or some rows of one.
      data_dir: the data folder, as for `load`.

    Returns:
      The `Dataset`, with the spec that the card states.

    Raises:
      UserError: the data set is not there, or other images are under its name.
      CheckpointError: the card does not say what the data are.
    """
    record, who = card.get("data"), card.get("name") or card.get("recipe") or "this checkpoint"
    try:
        name, spec = record["name"], known.recorded(record)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"the card of {who} does not say what it was trained on: make the card again") from None
    if record.get("place") == GIVEN:
        raise UserError(f"{who} was trained on arrays that were given from Python: give images of the same kind")
    reason = ""
    for source in _candidates(record, data_folder(data_dir)):
        try:
            found = load(source, split, data_dir, record.get("size"))
        except NotFound as error:
            reason = reason or str(error).split(": ")[0]
            continue
        if (found.spec.shape, found.num_classes) == (spec.shape, spec.num_classes) and _same(
            found, record, source, data_dir
        ):
            return found._replace(name=name, spec=spec if "spec" in record else found.spec)
        reason = f"{found.source} has other images"
    raise UserError(f"{who} was trained on {name}: point --data-dir at a folder that has it ({reason})")


def _candidates(record: Mapping[str, Any], where: Path | None) -> Iterator[str | Path]:
    """Names and paths to look for, in this order."""
    place = Path(record.get("place") or "")
    if not record.get("place"):
        yield record["name"]
        return
    if where is not None:
        yield from (p for p in (where / place.name, where / place.stem / place.name) if os.path.exists(p))
        if place.suffix != ".npz" and folder.holds_classes(where):
            yield where
    yield place


def _same(found: Dataset, record: Mapping[str, Any], source: str | Path, data_dir: Any) -> bool:
    """Whether the fingerprint in the card agrees."""
    fingerprint, split = record.get("fingerprint"), record.get("split")
    if fingerprint is None or split is None:
        return True
    if found.split == split:
        return found.fingerprint == fingerprint
    if found.name in known.KNOWN and not found.place and not found.notes:
        return True
    try:
        return load(source, split, data_dir, record.get("size")).fingerprint == fingerprint
    except NotFound:  # the split of the training is not here, so nothing contradicts the name
        return True
