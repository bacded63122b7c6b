"""Picture files as one array: modes, the centre square, the size of all, what is damaged, and the notes about it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cganjax import memory, waiting
from cganjax.data import pictures
from cganjax.types import BadArgument, DataError

SIZES = (4, 1024)  # the smallest and the largest side that pictures are resized to
SIZE = 32  # the side of pictures of several sizes, unless another is asked for
_SPARE = 3  # a JPEG is decoded at this multiple of its side or more, and differs by less than a level of 255 on average
_COPIES = 3  # one by one, as one array, and one of a part of it
_KEPT = 256 * 2**20  # bytes of the last pictures that are kept, because a data set is often read once for each part
_SHOWN = 3  # damaged files that a message names

_last: dict[tuple, "Decoded"] = {}


class Decoded(NamedTuple):
    """All pictures."""

    images: np.ndarray  # uint8 [N, H, W, C]
    size: int | None  # the side that they were resized to, if they were
    notes: tuple[str, ...]


def decode(paths: Sequence[Path], size: int | None) -> Decoded:
    """All pictures as one array.

    Args:
      paths: PNG or JPEG files, at least one.
      size: the side to which the centre square of each is resized. None: pictures of one size stay as they are, and
        the side of those of several sizes is `SIZE`.

    Raises:
      DataError: some files cannot be read. Their number and three of them are named.
      BadArgument: the images do not fit into the memory.
    """
    key = (size, *((path, found.st_mtime_ns, found.st_size) for path in paths if (found := path.stat())))
    if key not in _last:
        found = _decode(paths, size, chosen=size is not None)
        _last.clear()
        if found.images.nbytes > _KEPT:
            return found
        _last[key] = found
    return _last[key]


def _decode(paths: Sequence[Path], size: int | None, chosen: bool) -> Decoded:
    images, sizes, damaged = [], [], []
    for path in waiting.counted(paths, "pictures read"):
        try:
            image, full = pictures.read_reduced(path, size and _SPARE * size, lambda *found: _made(*found, size))
        except pictures.Unreadable as error:
            damaged.append((path, str(error)))
            continue
        if damaged:  # the others are read only to find all that are damaged
            continue
        if size is None and sizes and full != sizes[0]:
            return _decode(paths, SIZE, chosen)
        if not images or image.nbytes > images[-1].nbytes:  # grey ones become RGB if one is
            advice = "--size 32 makes them smaller" if size is None else "choose a smaller --size"
            height, width = image.shape[:2]
            what = f"{len(paths):,} images of {width}x{height} pixels, such as {path},"
            try:
                memory.check_host(_COPIES * len(paths) * image.nbytes, what, advice)
            except BadArgument:
                if size is None and len({*map(pictures.size_of, paths)} - {None}) > 1:
                    return _decode(paths, SIZE, chosen)
                raise
        images.append(image)
        sizes.append(full)
    if damaged:
        raise DataError(_about_damaged(damaged))
    notes = () if size is None else _resized(sizes, size, chosen)
    grey = sum(image.shape[2] == 1 for image in images)
    if grey not in (0, len(images)):
        images = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in images]
        notes += (f"{grey} of {len(images)} images are grey: all were read as RGB",)
    return Decoded(np.stack(images), size, notes)


def _resized(sizes: Sequence[tuple[int, int]], size: int, chosen: bool) -> tuple[str, ...]:
    """What was done to pictures of these sizes, if anything."""
    different = sorted({*sizes}, key=lambda s: (s[0] * s[1], s))
    if different == [(size, size)]:
        return ()
    first, last = ("{}x{}".format(*s) for s in (different[0], different[-1]))
    what = f"{first} pixels" if len(different) == 1 else f"{len(different)} sizes, from {first} to {last} pixels"
    cropped = "cropped to its centre square and " * any(width != height for width, height in different)
    return (
        f"images of {what}: each was {cropped}resized to {size}x{size}"
        + "; --size N chooses another size" * (not chosen),
    )


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


# --- one picture ------------------------------------------------------------------------------------------------------


def _made(image, full: tuple[int, int], size: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture as uint8 [H, W, 1] or [H, W, 3], and the size (width, height) that it has in its file."""
    image, grey = _grey_or_rgb(image)
    if size is not None:
        image = _square(image, full, size)
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., :1] if grey else pixels
    return np.ascontiguousarray(pixels), full


def _square(image, full: tuple[int, int], size: int):
    """The centre square of a picture, resized; `image` may be a reduced one of the picture of the size `full`.

    Lanczos' filter averages over the area of each new pixel, so that nothing aliases.
    """
    from PIL import Image

    side, (width, height) = min(full), full
    left, top = (width - side) // 2, (height - side) // 2
    reduced = 2 ** round(math.log2(width / image.width))
    box = [edge / reduced for edge in (left, top, left + side, top + side)]  # between pixels, if it is reduced
    image = image.crop((*map(math.floor, box[:2]), *map(math.ceil, box[2:])))
    left, top = box[0] % 1, box[1] % 1
    return image.resize(
        (size, size), Image.Resampling.LANCZOS, box=(left, top, left + side / reduced, top + side / reduced)
    )


def _grey_or_rgb(image):
    """A picture of mode L or RGB, and whether it is grey."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # A 16-bit grey PNG. 257 x 255 = 65,535, so both ends of the range are kept.
        values = np.asarray(image, np.float64)
        return Image.fromarray(np.clip(np.round(values / 257), 0, 255).astype(np.uint8)), True
    if image.has_transparency_data:
        grey = image.mode in ("L", "LA", "1")
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    else:
        grey = image.mode in ("L", "1")
        rgb = image.convert("RGB")
    if image.mode in ("P", "PA"):  # a palette says nothing about colour: its entries do
        pixels = np.asarray(rgb)
        grey = bool((pixels == pixels[..., :1]).all())
    return rgb, grey
