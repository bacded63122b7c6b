"""Image files of users as float images of a spec: pictures and folders of them, IDX files, .npz and .npy files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cganjax import data, npz, pixels
from cganjax.data import pictures
from cganjax.spec import ImageSpec
from cganjax.types import UserError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")  # found in a folder


class File(NamedTuple):
    """The images of one file, or of the pictures in one folder."""

    names: list[str]  # one per image
    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    note: str  # what was changed to fit the spec; "" if nothing was


def read(path: Path, spec: ImageSpec, ink: str = "auto", limit: int | None = None, *, crop: bool = False) -> File:
    """Read the images of a file or a folder, resized to the height and width of a spec and in its colours.

    Args:
      path: a picture; a folder with pictures, also in sub-folders; an IDX file of images, plain or .gz; or an .npz or
        .npy file, see `_read_arrays`.
      spec: what the images are to be. Files of many images have its polarity already.
      ink: of a picture of a drawing: "dark" on light paper, "light" on dark, or "auto". Auto looks at the border if the
        spec is light on dark, and takes the picture as it is otherwise. RGB images are never inverted.
      limit: read only the first images of a file or folder of many.
      crop: a picture of other proportions loses its margins, as the pictures of a data set do that are resized to
        `--size`. By default it gets margins in the colour of its border, so that nothing is lost.

    Raises:
      UserError: the file cannot be read, or holds no images.
    """
    if path.is_dir():
        return _of_folder(path, spec, ink, limit, crop)
    if not path.is_file():
        raise UserError(
            f"{path} is not a file: give a picture, a folder of pictures, or an IDX, .npz or .npy file of images"
        )
    if path.suffix.lower() in (".npz", ".npy"):
        return _of_many(path, _read_arrays(path), spec, limit)
    if _is_idx(path):
        array, _ = data.read_idx(path)
        if array.ndim != 3:
            raise UserError(f"{path} holds labels: give the file of images beside it")
        return _of_many(path, array[..., None], spec, limit)
    return _read_picture(path, spec, ink, crop)


def _of_folder(path: Path, spec: ImageSpec, ink: str, limit: int | None, crop: bool) -> File:
    """The pictures in a folder and its sub-folders, in the order of their paths."""
    inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in PICTURES and p.is_file())
    shown = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts)]
    if not shown:
        raise UserError(f"{path} holds no picture: give a folder with PNG or JPEG files, or the file itself")
    files = [_read_picture(p, spec, ink, crop) for p in shown[:limit]]
    changed = sum(bool(file.note) for file in files)
    note = f"{changed} of {len(files)} pictures in {path} are resized to {spec.height}x{spec.width}" if changed else ""
    return File([name for file in files for name in file.names], np.concatenate([f.images for f in files]), note)


def _is_idx(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".gz" or "-ubyte" in path.name or file.read(3) == b"\0\0\x08"


def _read_arrays(path: Path) -> np.ndarray:
    """The images of an .npy file, or of an .npz file: its array "images" or "x_test", or the only one that it has.

    They are uint8, or floats in [0, 1], of shape [N, H, W] or [N, H, W, C].
    """
    try:
        with path.open("rb") as file:
            one = file.read(len(npz.MAGIC)) == npz.MAGIC
            name = None if one else _name_of_images(path, npz.names(file))
            array = npz.read_one(file) if one else npz.read(file, [name])[name]
    except npz.NotArrays as error:
        raise UserError(f"{path} cannot be read as arrays ({error}): give an .npz or .npy file of images") from None
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise UserError(
            f"{path} holds an array of shape {array.shape}: expected [N, H, W], [N, H, W, 1] or [N, H, W, 3]"
        )
    if array.dtype == np.uint8 or not array.size:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{path} holds {array.dtype} images: expected uint8, or floats in [0, 1]")
    try:
        return np.asarray(pixels.check_unit(array))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _name_of_images(path: Path, names: list[str]) -> str:
    for name in ("images", "x_test"):
        if name in names:
            return name
    if len(names) != 1:
        raise UserError(f"{path} holds {', '.join(names) or 'nothing'}: expected an array called images")
    return names[0]


def _of_many(path: Path, array: np.ndarray, spec: ImageSpec, limit: int | None) -> File:
    """Images [N, H, W, C] of a file of many, in the shape and colours of the spec."""
    from PIL import Image

    if len(array) == 0:
        raise UserError(f"{path} holds no image: give a file with at least one")
    array, notes = array[:limit], []
    images = np.asarray(pixels.rest_to_unit(array), np.float32)
    if images.shape[-1] != spec.channels:
        notes.append("turned grey" if spec.channels == 1 else "from grey to RGB")
        grey = images @ np.float32([[0.299], [0.587], [0.114]]) if spec.channels == 1 else images
        images = np.broadcast_to(grey, (*images.shape[:3], spec.channels))
    size = images.shape[1:3]
    if size != spec.shape[:2]:
        notes.append(f"resized from {size[0]}x{size[1]} to {spec.height}x{spec.width}")

        def fitted(plane: np.ndarray) -> np.ndarray:
            return np.asarray(_fitted(path, Image.fromarray(plane), spec))

        images = np.stack([np.stack([fitted(x) for x in np.moveaxis(image, -1, 0)], -1) for image in images])
        images = images.clip(0, 1)
    note = f"the images of {path} are {' and '.join(notes)}" if notes else ""
    return File([f"{path}[{i}]" for i in range(len(images))], np.ascontiguousarray(images), note)


def _read_picture(path: Path, spec: ImageSpec, ink: str, crop: bool) -> File:
    mode = "L" if spec.channels == 1 else "RGB"
    try:
        picture = pictures.read(path, lambda image: _flat(image).convert(mode))
    except pictures.Unreadable as error:
        raise UserError(
            f"{path} cannot be read as a picture ({error}): give a PNG or JPEG, or an IDX, .npz or .npy file"
        ) from None
    dark = ink == "dark" or (ink == "auto" and np.median(_border(picture)) > 127)
    if spec.inverted:  # the classifier's images are light on dark
        invert = dark
    else:
        invert = spec.channels == 1 and ink == "light"
    note = ""
    if (picture.height, picture.width) != spec.shape[:2]:
        note = f"{path} is {picture.height}x{picture.width}, resized to {spec.height}x{spec.width}"
        picture = _fitted(path, _cropped(picture, spec) if crop else picture, spec)
    image = np.asarray(picture, np.float32).reshape(spec.shape) / np.float32(255)
    return File([str(path)], (1 - image if invert else image)[None], note)


def _flat(picture):
    """A picture without transparency, 8 bits per channel."""
    from PIL import Image

    if picture.mode == "F":
        raise ValueError("its pixels are floats of an unknown scale")
    if picture.mode.startswith("I"):  # 16 bits per pixel
        return Image.fromarray(np.round(np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    picture = picture.convert("RGBA")  # transparent parts show white paper
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _border(picture) -> np.ndarray:
    """The pixels at the four edges: [P] or [P, channels]."""
    edge = np.asarray(picture)
    return np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])


def _cropped(picture, spec: ImageSpec):
    """The largest part in the middle of a picture that has the proportions of a spec."""
    height = min(picture.height, max(1, picture.width * spec.height // spec.width))
    width = min(picture.width, max(1, picture.height * spec.width // spec.height))
    top, left = (picture.height - height) // 2, (picture.width - width) // 2
    return picture.crop((left, top, left + width, top + height))


def _fitted(path: Path, picture, spec: ImageSpec):
    """A picture resized to a spec: first padded with the colour of its border, so that it keeps its proportions."""
    from PIL import Image

    height, width = picture.height, picture.width
    # The smallest canvas of the spec's proportions that holds it.
    canvas_height = max(height, -(-width * spec.height // spec.width))
    canvas_width = max(width, -(-height * spec.width // spec.height))
    if canvas_height * canvas_width > Image.MAX_IMAGE_PIXELS:  # a narrow picture of few pixels has a huge canvas
        raise UserError(f"{path} is {height}x{width}, which is too narrow to fit {spec.height}x{spec.width}: crop it")
    colour = np.median(_border(picture), axis=0)
    colour = float(colour) if picture.mode == "F" else tuple(int(v) for v in np.atleast_1d(colour))
    canvas = Image.new(picture.mode, (canvas_width, canvas_height), colour)
    canvas.paste(picture, ((canvas_width - width) // 2, (canvas_height - height) // 2))
    smaller = canvas_height > spec.height
    return canvas.resize((spec.width, spec.height), Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC)
