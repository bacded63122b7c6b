"""A folder of PNG or JPEG files, one sub-folder per class: listed, checked and divided into train and test."""

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cganjax.data import decoded, splits
from cganjax.data.record import NotFound, Raw, polarity_of
from cganjax.spec import MOST_CLASSES
from cganjax.types import DataError

READ = (".png", ".jpg", ".jpeg")
# Files that are images too, and would be missed in silence.
NOT_READ = (".bmp", ".gif", ".heic", ".ppm", ".pgm", ".svg", ".tif", ".tiff", ".webp")
_HOW = "put PNG or JPEG files into one sub-folder per class"


class _Image(NamedTuple):
    path: Path
    part: str  # "train", "test", or "all" if the folder is not divided
    class_name: str


def load(name: str | Path, part: str, folder: Path | None, size: int | None = None) -> Raw | None:
    """One part of an image folder, given by its path, or by its name if the data folder has it; see `read_folder`.

    Raises:
      NotFound: the path does not exist.
      DataError: the folder holds no data set; the message names the files.
    """
    path = _find(name, folder)
    return None if path is None else read_folder(path, part, size)


def read_folder(path: Path, part: str, size: int | None = None) -> Raw:
    """One part of a folder with one sub-folder per class.

    The names of the sub-folders, sorted, are the class names. If the folder has `train/` and `test/`, each with one
    sub-folder per class, these are the parts. Otherwise one image in six of each class is a test image; the pixels
    decide which, after they are resized. Grey images stay grey unless a colour image is among them; 16-bit grey is
    scaled to 8 bits; transparent pixels are blended with white; EXIF's orientation is applied.

    A file that cannot be read is an error and not left out: which images a data set has never depends on what one
    machine could read.

    Args:
      path: the folder.
      part: "train" or "test".
      size: the side in pixels of the images. The centre square of each picture is resized to it with Pillow's Lanczos
        filter, and a note says so. None: pictures of one size stay as they are, and those of several sizes are resized
        to 32x32.

    Raises:
      DataError: the folder holds no data set, or files that cannot be read; three are named.
      BadArgument: the images do not fit into the memory.
    """
    files, names, notes = _list(path)
    images, size, resized = decoded.decode([file.path for file in files], size)
    labels = np.array([names.index(file.class_name) for file in files])
    if files[0].part == "all":
        mine = splits.test_rows(images, labels) == (part == "test")
    else:
        mine = np.array([file.part == part for file in files])
    if not mine.any():
        raise DataError(f"{path} is too small to have a {part} split: give at least two different images of a class")
    polarity, source, place = polarity_of(images), f"the folder {path}", str(path.resolve())
    notes = (*notes, *resized)
    return Raw(images[mine], labels[mine], len(names), source, notes, tuple(names), polarity, place, size)


def holds_classes(path: Path) -> bool:
    """Whether a folder has a sub-folder with a PNG or JPEG file, directly or within `train/`."""
    return any(
        file.suffix.lower() in READ
        for top in (path, path / "train")
        for below in _folders(top)
        for file in _entries(below)
    )


def _find(name: str | Path, folder: Path | None) -> Path | None:
    """The folder that a path or a name means; None if it means none."""
    if isinstance(name, str):
        return folder / name if folder is not None and holds_classes(folder / name) else None
    path = Path(os.path.expanduser(name))
    places = [path] if folder is None else [path, folder / path]
    found = next((place for place in places if os.path.exists(place)), None)
    if found is None:
        raise NotFound(f"the folder {path} does not exist: give the name of a data set, a folder, or an .npz file")
    if not found.is_dir():
        raise DataError(f"{found} is a file: expected a folder with one sub-folder per class, or an .npz file")
    return found


def _list(path: Path) -> tuple[list[_Image], list[str], tuple[str, ...]]:
    """All image files, the class names, and notes."""
    tops = {folder.name: folder for folder in _folders(path)}
    divided = {part: tops[part] for part in ("train", "test") if part in tops and _folders(tops[part])}
    if len(divided) == 1 and len(tops) == 1:
        (given,) = divided
        lacking = "test" if given == "train" else "train"
        raise DataError(
            f"{path} has {given}/ and no {lacking}/: add {lacking}/, or move the class folders up into {path}"
        )
    if len(divided) < 2:
        files = _classes(path, "all")
        return files, sorted({file.class_name for file in files}), ()
    _no_loose_images(path, "train/ and test/")
    train, test = (_classes(divided[part], part) for part in ("train", "test"))
    names = sorted({file.class_name for file in train})
    strange = sorted({file.class_name for file in test} - {*names})
    if strange:
        raise DataError(f"{path / 'test'} has the class {strange[0]!r}, which {path / 'train'} lacks: add it to both")
    unused = sorted(tops.keys() - {"train", "test"})
    notes = (f"{path} also has {', '.join(f'{name}/' for name in unused)}, not used",) if unused else ()
    return train + test, names, notes


def _classes(path: Path, part: str) -> list[_Image]:
    """The images of each class folder below a folder."""
    folders = _folders(path)
    if not folders:
        loose = _images(path)
        count = "1 image" if len(loose) == 1 else f"{len(loose)} images"
        found = f"{count} and no sub-folder" if loose else "no sub-folder"
        raise DataError(f"{path} holds {found}: {_hint(path)}")
    _no_loose_images(path, "class folders")
    files = []
    for folder in folders:
        deeper = next((f for f in _folders(folder) if _images(f)), None)
        if deeper is not None:
            raise DataError(f"{deeper} holds images below the class folder {folder}: put them directly into {folder}")
        found = _images(folder)
        if not found:
            raise DataError(f"the class folder {folder} holds no PNG or JPEG file: add images or remove the folder")
        name = unicodedata.normalize("NFC", folder.name)
        files += [_Image(file, part, name) for file in found]
    if part != "test" and len(folders) < 2:
        raise DataError(
            f"{path} holds one class folder ({folders[0].name}): expected at least two; put the images of each class "
            "into a folder of their own"
        )
    if len(folders) > MOST_CLASSES:
        raise DataError(
            f"{path} holds {len(folders):,} class folders: expected at most {MOST_CLASSES:,}; join some, or remove them"
        )
    return files


def _hint(path: Path) -> str:
    """What to do about a folder without class folders."""
    if any(path.glob("*-ubyte*")):
        return f"it has IDX files, so give the name of their data set, and {path} as the data folder"
    file = next(path.glob("*.npz"), None)
    return _HOW if file is None else f"give the file {file} itself, or {_HOW}"


def _no_loose_images(path: Path, beside: str) -> None:
    loose = _images(path)
    if loose:
        raise DataError(f"{loose[0]} lies beside {beside}: put it into the folder of its class")


def _folders(path: Path) -> list[Path]:
    return [p for p in _entries(path) if p.is_dir() and p.name != "__MACOSX"]


def _images(path: Path) -> list[Path]:
    """The PNG and JPEG files of a folder; DataError if it has images of another format."""
    files = [p for p in _entries(path) if p.is_file()]
    other = next((p for p in files if p.suffix.lower() in NOT_READ), None)
    if other is not None:
        raise DataError(f"{other} is neither PNG nor JPEG: convert it")
    return [p for p in files if p.suffix.lower() in READ]


def _entries(path: Path) -> list[Path]:
    """What a folder holds, sorted, without hidden files; nothing if it does not exist."""
    try:
        return sorted(p for p in path.iterdir() if not p.name.startswith(".")) if os.path.isdir(path) else []
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): check its permissions") from None
