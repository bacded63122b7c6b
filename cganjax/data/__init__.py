"""Every source of images -> one in-memory `Dataset`, checked, fingerprinted and in one canonical order.

Nothing here shuffles or batches: that is the loop's, from (seed, epoch). Pixels stay uint8.
"""

import gzip
import hashlib
import os
import re
import socket
import struct
import urllib.parse
import urllib.request
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import rng
from cganjax.data import known
from cganjax.files import quiet
from cganjax.spec import ImageSpec
from cganjax.types import Batch, UserError

SPLIT = re.compile(r"(train|test|all)(?:\[(\d*):(\d*)\])?")
SPLITS = "train, test or all, or some rows of one, as train[10000:]"
ENVIRONMENT = "CGANJAX_DATA_DIR"
CALIBRATION = 5000  # test images, the first in canonical order, that thresholds are made from; the others judge

# MD5 of the uncompressed files of MNIST as LeCun, Cortes and Burges published them: (data set, file).
CANONICAL_MD5 = {
    "6bbc9ace898e44ae57da46a324031adb": ("mnist", "train-images"),
    "a25bea736e30d166cdddb491f175f624": ("mnist", "train-labels"),
    "2646ac647ad5339dbf082846283269ea": ("mnist", "t10k-images"),
    "27ae3e4e09519cfbb04c329615203637": ("mnist", "t10k-labels"),
}
_IDX_FILES = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


class Dataset(NamedTuple):
    """One split of one data set, whole and in memory, in canonical order (by digest of image and label)."""

    name: str
    split: str  # "train", "test" or "all", or some rows of it
    images: np.ndarray  # uint8 [N, H, W, C], ink = 255; drawn data float32 in [0, 1]
    labels: np.ndarray  # int32 [N], 0..num_classes-1
    spec: ImageSpec
    fingerprint: str  # SHA-256 over the ordered digests: the same for every source of the same images
    source: str  # where it was found, for people and the manifest
    notes: tuple[str, ...] = ()  # warnings that do not stop a run: files of unknown digest

    @property
    def num_classes(self) -> int:
        """K."""
        return self.spec.num_classes


class _Raw(NamedTuple):
    images: np.ndarray  # uint8 [N, H, W, C]; drawn data float32
    labels: np.ndarray  # int [N], as the source numbers them
    num_classes: int
    source: str
    notes: tuple[str, ...] = ()


class Source(NamedTuple):
    """One way to come by a data set: `load` returns None where it has none, and raises where what it has is broken."""

    name: str
    load: Callable[[str, str, Path | None], _Raw | None]  # (data set, "train" or "test", data folder) -> raw arrays


def load(name: str = "mnist", split: str = "train", data_dir: str | os.PathLike | None = None) -> Dataset:
    """Find a data set by name and read one split of it.

    Args:
      name: "mnist"; "digits", the 1,797 that scikit-learn carries; "pattern_1010", drawn rows of four pixels; or any
        TFDS image set of labelled uint8 images.
      split: "train", "test", or "all" for both together; or some rows of one in canonical order, as "train[10000:]",
        which `experiments.evaluate --reference train` leaves for choices to be made by.
      data_dir: a folder with IDX files (plain or .gz), or a root with one folder a data set and `tfds/`. Where it is
        None, `CGANJAX_DATA_DIR`, then TFDS's own default folder, then a download through TFDS.

    Returns:
      The `Dataset`; its `source` says which was taken.

    Raises:
      UserError: nothing found, a damaged file, an unknown name; the message says what to do.
    """
    found = SPLIT.fullmatch(split)
    if found is None:
        raise UserError(f"unknown split {split!r}: choose {SPLITS}")
    whole, *ends = found.groups()
    folder = data_dir or os.environ.get(ENVIRONMENT) or None
    folder = Path(folder).expanduser() if folder else None
    parts = [_find(name, part, folder) for part in (("train", "test") if whole == "all" else (whole,))]
    return _canonical(name, split, parts, slice(*(int(end) if end else None for end in ends)))


# To be replaced when branches merge: the data task owns `of_card`, with this name and these arguments.
def of_card(card: Mapping[str, Any], split: str = "test", data_dir: str | os.PathLike | None = None) -> Dataset:
    """The data set that a checkpoint was trained on.

    Args:
      card: of a shipped checkpoint or a run; `card["data"]` names the data set.
      split, data_dir: as of `load`.

    Raises:
      UserError: the data folder does not hold it, or holds images of another shape or other classes under its name.
    """
    name, spec = card["data"].get("name", "mnist"), known.recorded(card["data"])
    dataset = load(name, split, data_dir)
    if (dataset.spec.shape, dataset.num_classes) != (spec.shape, spec.num_classes):
        raise UserError(
            f"{card['name']} was trained on {name} ({spec}), and {dataset.source} holds {dataset.spec}: "
            "give the folder of that data set (--data-dir)"
        )
    return dataset


def _find(name: str, part: str, folder: Path | None) -> _Raw:
    for source in SOURCES:
        raw = source.load(name, part, folder)
        if raw is not None:
            return raw
    raise AssertionError("the last source finds the data set or raises")


def _canonical(name: str, split: str, parts: list[_Raw], rows: slice = slice(None)) -> Dataset:
    """Join the parts and sort by digest, so that every source of the same images gives the same rows; take some."""
    images = np.concatenate([p.images for p in parts])
    first, num_classes = known.FIRST_LABEL.get(name, 0), max(p.num_classes for p in parts)
    if name in known.FIRST_LABEL:
        num_classes = known.KNOWN[name].num_classes
    labels = np.concatenate([p.labels for p in parts]).astype(np.int32) - np.int32(first)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"{name} ({split}) from {parts[0].source} has labels {labels.min() + first}.."
            f"{labels.max() + first}: expected {first}..{first + num_classes - 1}"
        )
    digests = [hashlib.md5(x.tobytes() + struct.pack("<i", y)).digest() for x, y in zip(images, labels, strict=True)]
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)[rows]
    if not len(order):
        raise UserError(f"{name} has {len(digests)} images, and split {split} none of them: choose other rows")
    total = hashlib.sha256(repr((images.shape[1:], num_classes)).encode())
    for i in order:
        total.update(digests[i])
    source = " and ".join(dict.fromkeys(p.source for p in parts))
    notes = tuple(note for p in parts for note in p.notes)
    spec = known.KNOWN.get(name)
    if spec is None or (spec.shape, spec.num_classes) != (images.shape[1:], num_classes):
        spec = ImageSpec.numbered(*images.shape[1:], num_classes)
    return Dataset(name, split, images[order], labels[order], spec, total.hexdigest(), source, notes)


# --- scikit-learn's digits --------------------------------------------------------------------------------------------


def _embedded_digits(name: str, part: str, folder: Path | None) -> _Raw | None:
    """The first 1,500 are train, the last 297 test; 8x8 grown to 20x20 amid 28x28, as MNIST's digits lie."""
    if name != "digits":
        return None
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = slice(None, 1500) if part == "train" else slice(1500, None)
    images = np.zeros((len(digits.images[rows]), 28, 28, 1), np.uint8)
    for canvas, small in zip(images, digits.images[rows], strict=True):
        grey = Image.fromarray(np.round(small * (255 / 16)).astype(np.uint8))
        canvas[4:24, 4:24, 0] = np.asarray(grey.resize((20, 20), Image.Resampling.BICUBIC))
    return _Raw(images, digits.target[rows], 10, "scikit-learn's embedded digits")


# --- drawn data ------------------------------------------------------------------------------------------------------


def bright_dark(key: jax.Array, n: int) -> jax.Array:
    """`pattern_1010`: n rows of four pixels, uniform in [.8, 1], [0, .2], [.8, 1], [0, .2]: float32 [n, 1, 4, 1]."""
    low = jnp.array([0.8, 0.0, 0.8, 0.0])
    return (low[None] + 0.2 * jax.random.uniform(key, (n, 4))).reshape(n, 1, 4, 1)


def _drawn(name: str, part: str, folder: Path | None) -> _Raw | None:
    """10,000 rows, as many as the published rounds look at, each once; they are the same for every seed."""
    if name != "pattern_1010":
        return None
    images = np.asarray(bright_dark(rng.stream(rng.root(0), f"pattern_1010 {part}"), 10_000))
    return _Raw(images, np.zeros(len(images), np.int64), 1, "drawn")


# --- IDX files --------------------------------------------------------------------------------------------------------


def _idx_folder(name: str, part: str, folder: Path | None) -> _Raw | None:
    if folder is None:
        return None
    stems = _IDX_FILES[part]
    for place in (folder / name, folder):
        paths = [_idx_path(place, stem) for stem in stems]
        if all(paths):
            break
        if any(paths):
            lacking = stems[0 if paths[0] is None else 1]
            raise UserError(f"{place} lacks the file {lacking}-idx*-ubyte (plain or .gz): put it beside the other one")
    else:
        return None
    (images, image_note), (labels, label_note) = (
        _read_known_idx(path, name, s) for path, s in zip(paths, stems, strict=True)
    )
    if images.ndim != 3 or labels.ndim != 1:
        wrong = paths[0] if images.ndim != 3 else paths[1]
        raise UserError(f"{wrong} has the wrong magic number for its name: images have 3 dimensions, labels 1")
    if len(images) != len(labels):
        raise UserError(f"{place} holds {len(images)} images and {len(labels)} labels ({part}): they must be as many")
    if len(images) == 0:
        raise UserError(f"{paths[0]} holds no image: give a file with at least one")
    return _Raw(images[..., None], labels, int(labels.max()) + 1, f"IDX files in {place}", image_note + label_note)


def _idx_path(folder: Path, stem: str) -> Path | None:
    rank = "idx3" if stem.endswith("images") else "idx1"
    names = (f"{stem}{dash}{rank}-ubyte{end}" for dash in "-." for end in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_idx(path: Path) -> tuple[np.ndarray, str]:
    """Read one IDX file of unsigned bytes, plain or .gz: uint8 [N, H, W] or [N], and the MD5 of its plain bytes.

    Raises:
      UserError: it cannot be read, is damaged, or is no such file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short ({error}): fetch it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): check the file and its rights") from None
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions, then each as a big-endian uint32.
    if len(data) < 4 or data[:3] != b"\0\0\x08" or data[3] not in (1, 3):
        raise UserError(
            f"{path} has the magic number {data[:4].hex() or 'of an empty file'}: an IDX file of images "
            "begins with 00000803, one of labels with 00000801"
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise UserError(f"{path} is cut short within its header: fetch it again")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    if len(data) - header != np.prod(shape, dtype=np.int64):
        raise UserError(
            f"{path} holds {len(data) - header} bytes of values where its header promises "
            f"{'x'.join(map(str, shape))}: fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape), hashlib.md5(data).hexdigest()


def _read_known_idx(path: Path, name: str, stem: str) -> tuple[np.ndarray, tuple[str, ...]]:
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


# --- TensorFlow Datasets ----------------------------------------------------------------------------------------------


def _tfds_prepared(name: str, part: str, folder: Path | None) -> _Raw | None:
    """A set prepared by TFDS below the data folder, or below TFDS's default folder where none is given."""
    if folder is None:
        default = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
        roots = [default]
    else:
        roots = [folder / "tfds", folder]
    root = next((r for r in roots if any((r / name).glob("*.*.*/dataset_info.json"))), None)
    return None if root is None else _read_tfds(name, part, root)


def _given_folder_lacks_it(name: str, part: str, folder: Path | None) -> None:
    """A folder that was named and does not serve is an error, not an invitation to look elsewhere."""
    if folder is None:
        return
    if not folder.is_dir():
        raise UserError(f"the data folder {folder} does not exist: {_three_ways(name)}")
    raise UserError(f"the data folder {folder} holds no {name} ({part}): {_three_ways(name)}")


def _tfds_download(name: str, part: str, folder: Path | None) -> _Raw:
    tfds = _import_tfds()
    try:
        builder = tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError):
        raise UserError(
            f"unknown data set {name!r}: known are digits, mnist, fashion_mnist, kmnist, emnist/letters "
            "and every other TFDS set of small labelled images"
        ) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()):
        raise UserError(f"{name} is no set of labelled images: it has {', '.join(features or ['nothing known'])}")
    # TFDS by itself retries for minutes under a wall of warnings; a name that does not resolve is known at once.
    if not _network():
        raise UserError(f"{name} is not on this machine and there is no network: {_three_ways(name)}")
    try:
        builder.download_and_prepare(file_format="array_record")
    except ImportError as error:
        raise UserError(
            f"TFDS needs {error.name or 'TensorFlow'} to prepare {name}: pip install 'cganjax[tfds]', "
            "or point --data-dir at IDX files"
        ) from None
    except Exception as error:  # TFDS raises errors of every library below it
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"TFDS could not fetch {name} ({reason}): {_three_ways(name)}") from None
    return _read_tfds(name, part, Path(builder.data_dir).parents[name.count("/") + 1])


def _read_tfds(name: str, part: str, root: Path) -> _Raw:
    tfds = _import_tfds()
    try:
        rows = tfds.data_source(name, split=part, data_dir=str(root), download=False)
        with quiet("absl"):  # TFDS advises OpenCV at the first image
            rows = rows.__getitems__(range(len(rows)))
        images = np.stack([row["image"] for row in rows])
        labels = np.array([row["label"] for row in rows], np.int64)
        classes = tfds.builder(name, data_dir=str(root)).info.features["label"].num_classes
    except Exception as error:  # a missing split, a foreign format, a short shard: TFDS has no common error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"TFDS cannot read {name} ({part}) below {root} ({reason}): prepare it again with "
            "file_format='array_record', or use IDX files"
        ) from None
    if images.ndim != 4 or images.dtype != np.uint8:
        raise UserError(f"{name} is no set of uint8 images of one size: choose another")
    return _Raw(images, labels, classes, f"TFDS below {root}")


def _import_tfds():
    """Import TFDS without its advice to install TensorFlow: reading needs none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds
    return tfds


def _network(seconds: float = 3.0) -> bool:
    """Whether TFDS's own host, or the proxy that the environment names for it, answers."""
    proxies = urllib.request.getproxies()
    proxy = urllib.parse.urlsplit(proxies.get("https") or proxies.get("all") or "")
    host = (proxy.hostname, proxy.port or 80) if proxy.hostname else ("storage.googleapis.com", 443)
    try:
        socket.create_connection(host, timeout=seconds).close()
    except OSError:
        return False
    return True


def _three_ways(name: str) -> str:
    return (
        f"put IDX files there or in {name}/ below it (--data-dir DIR or {ENVIRONMENT}), or a set prepared by TFDS in "
        f"tfds/ below it, or use --dataset digits, which needs no download"
    )


# In the order they are asked; the first that has the set is taken.
SOURCES: tuple[Source, ...] = (
    Source("digits", _embedded_digits),
    Source("drawn", _drawn),
    Source("idx", _idx_folder),
    Source("tfds", _tfds_prepared),
    Source("given folder", _given_folder_lacks_it),
    Source("download", _tfds_download),
)


def epoch_order(key: jax.Array, epoch: int, n: int) -> jax.Array:
    """The order of an epoch: a permutation of 0..n-1, int [n], from the data stream's key and the epoch alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), n)


def check_fits(dataset: Dataset, image_shape: tuple[int, ...], batch_size: int) -> None:
    """Raise UserError where the images are not of the shape that networks make, or fill no batch."""
    n, *shape = dataset.images.shape
    if tuple(shape) != tuple(image_shape):
        raise UserError(
            f"{dataset.name} has images of {tuple(shape)}, these networks take {tuple(image_shape)}: "
            "choose another data set or family"
        )
    if n < batch_size:
        raise UserError(
            f"batch_size is {batch_size} but {dataset.name} ({dataset.split}) holds {n} images: choose a smaller batch"
        )


def batches(dataset: Dataset, key: jax.Array, batch_size: int, start: int = 0) -> Iterator[Batch]:
    """An endless stream of batches from step `start`, gathered on the device from the whole set as uint8.

    Each epoch's last rows that fill no batch are left out; another order each epoch leaves out others.
    """
    images, labels = jnp.asarray(dataset.images), jnp.asarray(dataset.labels)
    per_epoch = len(dataset.images) // batch_size

    @jax.jit
    def gather(images, labels, order, i):
        rows = jax.lax.dynamic_slice(order, (i * batch_size,), (batch_size,))
        return Batch(images[rows], labels[rows])

    def stream():
        step = start
        while True:
            epoch, i = divmod(step, per_epoch)
            if i == 0 or step == start:
                order = epoch_order(key, epoch, len(images))
            yield gather(images, labels, order, i)
            step += 1

    return stream()
