"""A folder of PNG or JPEG files, one sub-folder per class: read, checked and divided into train and test."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cganjax.data import pictures, splits
from cganjax.data.record import NotFound, Raw, polarity_of
from cganjax.types import DataError

READ = (".png", ".jpg", ".jpeg")
# Files that are images too, and would be missed in silence.
NOT_READ = (".bmp", ".gif", ".heic", ".ppm", ".pgm", ".svg", ".tif", ".tiff", ".webp")
_SHOWN = 3  # damaged files that a message names
_HOW = "put PNG or JPEG files into one sub-folder per class"


class _Image(NamedTuple):
    path: Path
    part: str  # "train", "test", or "all" if the folder is not divided
    class_name: str


def load(name: str | Path, part: str, folder: Path | None) -> Raw | None:
    """One part of an image folder, given by its path, or by its name if the data folder has it.

    Raises:
      NotFound: the path does not exist.
      DataError: the folder holds no data set; the message names the files.
    """
    path = _find(name, folder)
    return None if path is None else read_folder(path, part)


def read_folder(path: Path, part: str) -> Raw:
    """One part of a folder with one sub-folder per class.

    The names of the sub-folders, sorted, are the class names. If the folder has `train/` and `test/`, each with one
    sub-folder per class, these are the parts. Otherwise one image in six of each class is a test image; the pixels
    decide which. All images must have one size. Grey images stay grey unless a colour image is among them; 16-bit grey
    is scaled to 8 bits; transparent pixels are blended with white.

    Args:
      path: the folder.
      part: "train" or "test".
    """
    files, names, notes = _list(path)
    images, colour = _read(files)
    labels = np.array([names.index(file.class_name) for file in files])
    if files[0].part == "all":
        mine = splits.test_rows(images, labels) == (part == "test")
    else:
        mine = np.array([file.part == part for file in files])
    if not mine.any():
        raise DataError(f"{path} is too small to have a {part} split: give at least two different images of a class")
    polarity, source, place = polarity_of(images), f"the folder {path}", str(path.resolve())
    notes = (*notes, *colour)
    return Raw(images[mine], labels[mine], len(names), source, notes, tuple(names), polarity, place)


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
        raise DataError(f"{path} holds one class folder ({folders[0].name}): expected at least two")
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


def _read(files: Sequence[_Image]) -> tuple[np.ndarray, tuple[str, ...]]:
    """All images as uint8 [N, H, W, C], and a note if grey images were made RGB."""
    images, damaged = [], []
    for file in files:
        try:
            image = pictures.read(file.path, _pixels)
        except pictures.Unreadable as error:
            damaged.append((file.path, str(error)))
            continue
        if damaged:
            continue
        if images and image.shape[:2] != images[0].shape[:2]:
            sizes = ["{1}x{0}".format(*x.shape) for x in (images[0], image)]
            raise DataError(
                f"{files[0].path} has {sizes[0]} pixels and {file.path} {sizes[1]}: expected images of one size; "
                "resize or crop them"
            )
        images.append(image)
    if damaged:
        raise DataError(_about_damaged(damaged))
    grey = sum(image.shape[2] == 1 for image in images)
    if grey in (0, len(images)):
        return np.stack(images), ()
    coloured = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in images]
    return np.stack(coloured), (f"{grey} of {len(images)} images are grey: all were read as RGB",)


def _about_damaged(damaged: Sequence[tuple[Path, str]]) -> str:
    """One sentence about files that cannot be read, each given with the reason."""
    if len(damaged) == 1:
        ((path, reason),) = damaged
        return f"{path} cannot be read as an image ({reason}): replace or remove it"
    more = len(damaged) - _SHOWN
    shown = ", ".join(f"{path} ({reason})" for path, reason in damaged[:_SHOWN]) + (
        f" and {more} more" if more > 0 else ""
    )
    return f"{len(damaged)} files cannot be read as images: {shown}; replace or remove them"


def _pixels(image) -> np.ndarray:
    """A picture as uint8 [H, W, 1] or [H, W, 3]."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # A 16-bit grey PNG. 257 x 255 = 65,535, so both ends of the range are kept.
        values = np.asarray(image, np.float64)
        return np.clip(np.round(values / 257), 0, 255).astype(np.uint8)[..., None]
    if image.has_transparency_data:
        grey = image.mode in ("L", "LA", "1")
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    else:
        grey = image.mode in ("L", "1")
        rgb = image.convert("RGB")
    pixels = np.asarray(rgb)
    if image.mode in ("P", "PA"):  # a palette says nothing about colour: its entries do
        grey = bool((pixels == pixels[..., :1]).all())
    return np.ascontiguousarray(pixels[..., :1] if grey else pixels)
