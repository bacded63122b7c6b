"""IDX files, the format of MNIST and its relatives: unsigned bytes, plain or gzipped."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cganjax import npz
from cganjax.data.record import Raw
from cganjax.types import UserError

# MD5 of the uncompressed files as their authors published them: (data set, file).
CANONICAL_MD5 = {
    "6bbc9ace898e44ae57da46a324031adb": ("mnist", "train-images"),
    "a25bea736e30d166cdddb491f175f624": ("mnist", "train-labels"),
    "2646ac647ad5339dbf082846283269ea": ("mnist", "t10k-images"),
    "27ae3e4e09519cfbb04c329615203637": ("mnist", "t10k-labels"),
    "f4a8712d7a061bf5bd6d2ca38dc4d50a": ("fashion_mnist", "train-images"),
    "9018921c3c673c538a1fc5bad174d6f9": ("fashion_mnist", "train-labels"),
    "8181f5470baa50b63fa0f6fddb340f0a": ("fashion_mnist", "t10k-images"),
    "15d484375f8d13e6eb1aabb0c3f46965": ("fashion_mnist", "t10k-labels"),
    "bf305b8cd328700fbc17f5acbc2856d2": ("kmnist", "t10k-images"),
    "9f55f451c0988b028eccdf7d5cc265ab": ("kmnist", "t10k-labels"),
}
STEMS = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


def load(name: str, part: str, folder: Path | None) -> Raw | None:
    """The two files of a part in `folder/name` or in `folder` itself; None if neither place has them.

    The number of classes is the largest label of both parts plus one, if the labels of both are there.

    Raises:
      UserError: one of the two files is missing, damaged, empty, or belongs to another data set.
    """
    if folder is None:
        return None
    stems = STEMS[part]
    for place in (folder / name, folder):
        paths = [idx_path(place, stem) for stem in stems]
        if all(paths):
            break
        if any(paths):
            lacking = stems[0 if paths[0] is None else 1]
            raise UserError(f"{place} lacks the file {lacking}-idx*-ubyte (plain or .gz): put it beside the other one")
    else:
        return None
    (images, image_note), (labels, label_note) = (
        _read_known(path, name, stem) for path, stem in zip(paths, stems, strict=True)
    )
    if images.ndim != 3 or labels.ndim != 1:
        wrong = paths[0] if images.ndim != 3 else paths[1]
        raise UserError(f"{wrong} has the wrong magic number for its name: images have 3 dimensions, labels 1")
    if len(images) != len(labels):
        raise UserError(f"{place} holds {len(images)} images and {len(labels)} labels ({part}): they must be as many")
    if len(images) == 0:
        raise UserError(f"{paths[0]} holds no image: give a file with at least one")
    largest = int(labels.max())
    other = idx_path(place, STEMS["test" if part == "train" else "train"][1])
    if other is not None:
        largest = max(largest, int(read_idx(other)[0].max(initial=0)))
    return Raw(images[..., None], labels, largest + 1, f"IDX files in {place}", image_note + label_note)


def idx_path(folder: Path, stem: str) -> Path | None:
    """The file of that stem in a folder, under any of its usual names, or None."""
    rank = "idx3" if stem.endswith("images") else "idx1"
    names = (f"{stem}{dash}{rank}-ubyte{end}" for dash in "-." for end in ("", ".gz"))
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


def read_idx(path: Path) -> tuple[np.ndarray, str]:
    """Read one IDX file of unsigned bytes, plain or .gz: uint8 [N, H, W] or [N], and the MD5 of its plain bytes.

    Raises:
      UserError: it cannot be read, is damaged, or is no such file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short ({error}): fetch it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): check the file and its rights") from None


def _read(file: BinaryIO, path: Path) -> tuple[np.ndarray, str]:
    """Read the header, then exactly what it promises, so that no more is ever unpacked."""
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions, then each as a big-endian uint32.
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3):
        raise UserError(
            f"{path} has the magic number {magic.hex() or 'of an empty file'}: an IDX file of images "
            "begins with 00000803, one of labels with 00000801"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise UserError(f"{path} is cut short within its header: fetch it again")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    promised, most = math.prod(shape), path.stat().st_size * (npz.INFLATED if path.suffix == ".gz" else 1)
    values = file.read(promised) if promised <= most else b""
    if len(values) < promised or file.read(1):  # at its end gzip compares the checksum
        raise UserError(
            f"{path} holds {'fewer' if len(values) < promised else 'more'} bytes of values than the "
            f"{'x'.join(map(str, shape))} that its header promises: fetch it again"
        )
    digest = hashlib.md5(magic + sizes)
    digest.update(values)
    return np.frombuffer(values, np.uint8).reshape(shape), digest.hexdigest()


def _read_known(path: Path, name: str, stem: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a file taken for a part of a data set; the second value notes a digest that is not known."""
    array, digest = read_idx(path)
    known = CANONICAL_MD5.get(digest)
    if known not in (None, (name, stem)):
        raise UserError(
            f"{path} was taken for the {stem} of {name}, by its MD5 it is the {known[1]} of {known[0]}: "
            "point --data-dir at the right files"
        )
    note = () if known else (f"{path.name} has the unknown MD5 {digest}",)
    return array, note
