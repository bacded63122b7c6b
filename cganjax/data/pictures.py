"""Picture files that anybody may have made, decoded by Pillow: the one place that knows what can go wrong."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")
# Pillow runs another program for some of its other formats, such as Ghostscript for EPS.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class Unreadable(Exception):
    """A file that is no picture, a damaged or a huge one; the message is the reason, without the path."""


def read(path: Path, make: Callable[..., Made]) -> Made:
    """What `make` makes of a picture, given as a loaded and upright `PIL.Image.Image`.

    Raises:
      Unreadable: the file cannot be read, or `make` cannot use it.
    """
    return read_reduced(path, None, lambda image, size: make(image))


def read_reduced(path: Path, shorter: int | None, make: Callable[..., Made]) -> Made:
    """`read` with less work for a large JPEG, which is decoded at 1/2, 1/4 or 1/8 of its size.

    Args:
      path: the file.
      shorter: pixels that the shorter side keeps at least, if it has so many. None: the picture keeps its size.
      make: is given the upright image and the size (width, height) that it has in the file.

    Raises:
      Unreadable: as `read` does.
    """
    from PIL import ExifTags, Image, ImageOps

    Image.init()  # lists all formats that this Pillow can read
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of metadata that nothing here uses
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=known) as file:
                size = file.size
                if shorter is not None:
                    file.draft(None, tuple(-(-side * shorter // min(size)) for side in size))
                file.load()
                if file.getexif().get(ExifTags.Base.Orientation) in _TURNED:
                    size = size[::-1]
                image = ImageOps.exif_transpose(file)
            return make(image, size)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Unreadable(f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, MemoryError, struct.error and others
        raise Unreadable(_reason(error, path)) from None


def size_of(path: Path) -> tuple[int, int] | None:
    """The size (width, height) of a picture when it is upright, from the head of its file; None if that is damaged."""
    from PIL import ExifTags, Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            turned = file.getexif().get(ExifTags.Base.Orientation) in _TURNED
            return file.size[::-1] if turned else file.size
    except Exception:  # as in `read_reduced`
        return None


def _reason(error: Exception, path: Path) -> str:
    """Why a file cannot be read, in one line without its path, which the whole sentence names already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = str(error).strip().splitlines()[:1] or [type(error).__name__]
    for spelled in {str(path), os.path.realpath(path)}:
        said[0] = said[0].replace(f" {spelled!r}", "")
    return said[0]
