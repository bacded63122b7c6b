"""Where the extractor of a data set of one's own is kept: beside the data, with its reference.

For the folder `my_images/` and for the file `my_images.npz` that is `my_images.reference/`. If the pictures were
resized to 32x32 pixels it is `my_images.32.reference/`, so that each size has an extractor of its own. It holds two
checkpoints: `extractor/` with the reference of the test images, and `classifier/`, the reference classifier.
`beside.make` writes them; they count from the moment that the reference is there, which is written last.
"""

import os
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cganjax import checkpoint as ckpt
from cganjax import data
from cganjax.data.record import GIVEN, Dataset
from cganjax.data.sources import data_folder
from cganjax.types import UserError

SUFFIX, EXTRACTOR, CLASSIFIER = ".reference", "extractor", "classifier"


class OtherImages(UserWarning):
    """The extractor beside a data set was made from other images than are asked for, so it is not used."""


def record_of(dataset: Dataset) -> dict[str, Any]:
    """What a manifest or a card says of a data set.

    >>> record_of(data.load("digits", "test"))["images"]
    297
    """
    kept = {name: getattr(dataset, name) for name in ("name", "split", "num_classes", "fingerprint", "place")}
    kept |= {"images": len(dataset.images), "spec": dataset.spec.to_json()}
    return kept | ({"size": dataset.size} if dataset.size else {})


def folder_for(record: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Path | None:
    """The folder beside the data for their extractor, whether it exists or not.

    >>> folder_for({"name": "mine", "place": "/data/mine.npz"})
    PosixPath('/data/mine.reference')
    >>> folder_for({"name": "mine", "place": "/data/mine", "size": 32})
    PosixPath('/data/mine.32.reference')
    >>> folder_for({"name": "kmnist"}, "/data"), folder_for({"name": "arrays", "place": "given arrays"})
    (PosixPath('/data/kmnist.reference'), None)

    Args:
      record: what a manifest or card says of the data: `name`, and `place` and `size` if they are known.
      data_dir: the data folder, for a data set that is found by its name. None: `CGANJAX_DATA_DIR`.

    Returns:
      The folder, or None if the data lie in no folder that is known.
    """
    return next(_places(record, data_dir), None)


def find(record: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Path | None:
    """The extractor that was made from these images and is kept beside them, with its reference.

    Args:
      record: the `data` of a manifest or of a card: `name`, `split`, `fingerprint`, `place` and `size`, if it has one.
      data_dir: the data folder, as for `folder_for`. Data that were moved into it are found there.

    Returns:
      The checkpoint folder of the extractor, such as `my_images.reference/extractor`; None if there is none.

    Raises:
      CheckpointError: its card is damaged.

    Warns:
      OtherImages: there is one, and it was made from other images.

    >>> find({"name": "mine", "split": "train", "fingerprint": "", "place": "/data/mine"}) is None
    True
    """
    for place in _places(record, data_dir):
        folder = place / EXTRACTOR
        if not is_whole(place):
            continue
        if _same_images(ckpt.read_card(folder).get("data", {}), record, data_dir):
            return folder
        warnings.warn(
            f"{place} was made from other images than {record.get('name')} ({record.get('split')}), so it is not "
            f"used: make it again by {command(record)} --overwrite",
            OtherImages,
            stacklevel=2,
        )
    return None


def is_whole(place: Path) -> bool:
    """Whether a folder holds an extractor and its reference."""
    return (place / EXTRACTOR / ckpt.REFERENCE).exists()


def extractor_in(checkpoint: str | os.PathLike) -> Path:
    """The folder of an extractor that a user named: a checkpoint, or the folder that `cganjax reference` made.

    Raises:
      UnknownCheckpoint, BadType: see `checkpoint.find`.
    """
    folder = ckpt.find(checkpoint)
    return folder / EXTRACTOR if (folder / EXTRACTOR / ckpt.CARD).exists() else folder


def classifier_beside(extractor: Path) -> Path | None:
    """The reference classifier that was made together with the extractor in this folder, if any."""
    folder = extractor.parent / CLASSIFIER
    return folder if extractor.name == EXTRACTOR and (folder / ckpt.CARD).exists() else None


def command(record: Mapping[str, Any]) -> str:
    """The command that makes an extractor and its reference from the data of a record.

    >>> print(command({"name": "mine", "place": "/my data/mine.npz"}))
    cganjax reference '/my data/mine.npz'
    """
    source = record.get("place") or record.get("name") or "DATA"
    size = f" --size {record['size']}" if record.get("size") else ""
    return f"cganjax reference {'DATA' if source == GIVEN else shlex.quote(str(source))}{size}"


def _places(record: Mapping[str, Any], data_dir: str | os.PathLike | None) -> Iterator[Path]:
    """Where the extractor of these data can be: beside their place of then, then in the data folder."""
    where, place = data_folder(data_dir), record.get("place")
    size = f".{record['size']}" if record.get("size") else ""
    if place == GIVEN:
        return
    if place:
        place = Path(place)
        yield _beside(place, size)
        if where is not None:
            yield from (_beside(p, size) for p in (where / place.name, where / place.stem / place.name) if p != place)
    elif where is not None and record.get("name"):
        yield _beside(where / record["name"], size)


def _beside(place: Path, size: str) -> Path:
    return place.with_name(place.name.removesuffix(".npz") + size + SUFFIX)


def _same_images(made: Mapping[str, Any], record: Mapping[str, Any], data_dir: str | os.PathLike | None) -> bool:
    """Whether an extractor was made from the data of a record, by fingerprint; other splits are looked up."""
    if made.get("split") == record.get("split"):
        return made.get("fingerprint") == record.get("fingerprint")
    try:
        training = data.of_card({"name": record.get("name"), "data": record}, made.get("split"), data_dir)
    except UserError:
        return False
    return made.get("fingerprint") == training.fingerprint
