"""Where data sets come from: the ordered table of sources, `load`, `dataset`, and `register` for a new one."""

import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cganjax import checks
from cganjax.data import arrays, decoded, drawn, embedded, folder, idx, known, splits, tfds
from cganjax.data.record import ENVIRONMENT, Dataset, NotFound, Raw, canonical
from cganjax.spec import DARK_ON_LIGHT, LIGHT_ON_DARK
from cganjax.types import DataError, DataTypeError

# The data sets that a function makes, by name. A new file with such a function needs one entry here, or `register`.
Loader = Callable[[str, Path | None], Any]  # ("train" or "test", data folder) -> (images, labels) or a Raw
LOADERS: dict[str, Loader] = {"digits": embedded.digits, "pattern_1010": drawn.pattern_1010}
_OURS = frozenset(LOADERS)


class Source(NamedTuple):
    """One way to find a data set: `load` returns None if it has none, and raises if what it has is broken."""

    name: str
    load: Callable[[Any, str, Path | None], Raw | None]  # (data set, "train" or "test", data folder) -> arrays
    paths: bool = False  # whether it also takes the `Path` of a data set instead of a name


def register(name: str, load: Loader, *, overwrite: bool = False) -> None:
    """Add a data set, which every function and command of this process then finds by its name.

    >>> import numpy as np
    >>> def squares(part, folder):
    ...     images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    ...     images[labels == 1, 2:6, 2:6] = 200 if part == "train" else 250
    ...     return Raw(images, labels, class_names=("nothing", "square"))
    >>> register("squares", squares)
    >>> print(dataset("squares").spec)
    8x8x1, 2 classes

    Args:
      name: a new name.
      load: `load(part, folder)` returns the images and labels of a part, "train" or "test", or a `data.Raw` that says
        more, or None if it has no such part. Images are uint8 [N, H, W, C] or [N, H, W], labels int [N], 0..K-1.
        `folder` is the data folder that the user gave, or None.
      overwrite: replace a set that was registered before.

    Raises:
      ValueError: the name belongs to another data set.
    """
    if not isinstance(name, str) or not name or _is_path(name, None):
        raise ValueError(f"the name is {name!r}: expected a word that is not a path")
    if name in known.KNOWN or name in _OURS or (name in LOADERS and not overwrite):
        raise ValueError(f"{name!r} is a known data set: choose another name")
    LOADERS[name] = load


def load(
    name: str | os.PathLike = known.DEFAULT,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    size: int | None = None,
) -> Dataset:
    """Find a data set by name or path and read one split of it.

    Args:
      name: "mnist", the default; "digits", the 1,797 that scikit-learn carries; "pattern_1010", random rows of four
        pixels; a name given to `register`; any TFDS image set of labelled uint8 images; or the path of a folder with
        one sub-folder per class, or of an .npz file (see `dataset`).
      split: "train", "test", or "all" for both together; or some rows of one in canonical order, as "train[10000:]",
        which leaves out the rows that `experiments.evaluate --reference train` measures against.
      data_dir: a folder with IDX files (plain or .gz), or a root with one folder per data set and `tfds/`. If it is
        None, `CGANJAX_DATA_DIR`. If neither is set, TFDS's default folder, then a download through TFDS.
      size: the side in pixels that the pictures of a folder are resized to, see `dataset`.

    Returns:
      The `Dataset`; its `source` says which was taken.

    Raises:
      UserError: there is no such data set, the name is unknown, or a file is damaged; the message says what to do.
    """
    return _load(name, split, data_dir, size)


def dataset(
    source: str | os.PathLike | None = None,
    *,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    size: int | None = None,
    images: Any = None,
    labels: Any = None,
    class_names: Sequence[str] | None = None,
    polarity: str | None = None,
    name: str | None = None,
) -> Dataset:
    """A data set from a name, a folder, an .npz file, or arrays.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    >>> mine = dataset(images=images, labels=np.arange(12) % 2, class_names=["cat", "dog"])
    >>> print(mine.spec, mine.spec.class_names)
    32x32x3, 2 classes ('cat', 'dog')

    Args:
      source: the name of a data set, as `load` takes it; the path of a folder with one sub-folder per class, PNG or
        JPEG; or the path of an .npz file with the arrays `images` and `labels`. A folder with `train/` and `test/`, and
        a file with `x_train`, `y_train`, `x_test` and `y_test`, keep these parts. Otherwise one image in six of each
        class is a test image; the pixels decide which.
      split: "train", "test" or "all", or some rows of one, as "train[100:]". Arrays are one split, whole: there
        `split` only names it.
      data_dir: the data folder, as for `load`.
      size: the side in pixels of the images of a folder, 4 to 1,024: the centre square of each picture is resized to
        it. None: pictures of one size stay as they are, and those of several sizes are resized to 32x32. The `notes`
        of the data set say what was done. Other sources are not resized: their images must have this size.
      images: uint8 [N, H, W, C] from 0 to 255 with C = 1 (grey) or 3 (RGB), or [N, H, W], instead of a source.
      labels: int [N] from 0 to K-1. Without `class_names`, each class must have an image.
      class_names: the names of the K classes of arrays or of an .npz file; "0", "1", ... if None.
      polarity: "light_on_dark" or "dark_on_light", of grey images; if None, the borders of the images decide.
      name: a name for the data set, if others than its file's or folder's, or "arrays".

    Returns:
      The `Dataset`. Every source of the same images gives the same rows in the same order and the same fingerprint.

    Raises:
      NotFound: there is no such data set (a `UserError` and a `FileNotFoundError`).
      DataError: the folder, file or arrays are no data set (a `UserError` and a `ValueError`; if a type or dtype is
        wrong, also a `TypeError`).
      UserError: a set that was found by its name is damaged.
    """
    if polarity is not None and not (isinstance(polarity, str) and polarity in (LIGHT_ON_DARK, DARK_ON_LIGHT)):
        raise DataError(f"polarity is {checks.shown(polarity)}: expected {LIGHT_ON_DARK!r} or {DARK_ON_LIGHT!r}")
    if name is not None and not isinstance(name, str):
        raise DataTypeError(f"name is {checks.shown(name)}: expected a text")
    size = _size(size)
    arrays_given = images is not None or labels is not None
    if (source is not None) == arrays_given:
        what = "both a source and arrays" if arrays_given else "neither a source nor arrays"
        raise DataTypeError(f"dataset was given {what}: give a name or path, or images= and labels=")
    if arrays_given:
        raw = arrays.given(images, labels, class_names, polarity)
        _check_size("the array", raw, size)
        return canonical(name or "arrays", split, [raw], splits.parse(split).rows)
    if not isinstance(source, (str, os.PathLike)):
        raise DataTypeError(
            f"source is {type(source).__name__}: expected a name or a path; give arrays as images= and labels="
        )
    found = _load(source, split, data_dir, size, class_names, polarity)
    return found if name is None else found._replace(name=name)


def _load(
    name: str | os.PathLike,
    split: str,
    data_dir: str | os.PathLike | None,
    size: int | None,
    class_names: Sequence[str] | None = None,
    polarity: str | None = None,
) -> Dataset:
    parts, rows = splits.parse(split)
    where, size = data_folder(data_dir), _size(size)
    raws = [_find(name, part, where, size, class_names) for part in parts]
    if polarity is not None:
        raws = [raw._replace(polarity=polarity) for raw in raws]
    called = Path(name).resolve().name.removesuffix(".npz") if raws[0].place else str(name)
    return canonical(called, split, raws, rows)


def data_folder(data_dir: str | os.PathLike | None) -> Path | None:
    """The data folder: the given one, or `CGANJAX_DATA_DIR`, or None."""
    where = data_dir or os.environ.get(ENVIRONMENT) or None
    # os.path knows no error: "~nobody", or a name that is too long, is a path that does not exist.
    return Path(os.path.expanduser(where)) if where else None


def is_path(name: Any, data_dir: str | os.PathLike | None = None) -> bool:
    """Whether `load` takes a name for the path of a folder or a file."""
    return _is_path(name, data_folder(data_dir))


def check_name(name: str, data_dir: str | os.PathLike | None = None) -> None:
    """Check that a data set of this name can exist, without looking for its images: TFDS knows its own names.

    Raises:
      NotFound: no source has such a set; the nearest name is given.
    """
    where = data_folder(data_dir)
    roots = tfds.roots(where) + ([] if where is None else [where])
    # TFDS also takes names of sets that others keep, "huggingface:...".
    if name in known.KNOWN or name in LOADERS or ":" in name or any((root / name).exists() for root in roots):
        return
    if where is not None and (where / f"{name}.npz").exists():
        return
    names = tfds.import_tfds().list_builders(with_community_datasets=False)
    if name.split("/")[0] not in names:
        near = difflib.get_close_matches(name, [*known.KNOWN, *LOADERS, *names], n=1)
        raise NotFound(tfds.unknown(name, near[0] if near else None))


def _size(size: Any) -> int | None:
    return None if size is None else checks.whole("size", size, *decoded.SIZES)


def _check_size(name: Any, raw: Raw, size: int | None) -> None:
    """Raise DataError if images that nothing resizes have another size than the one that was asked for."""
    height, width = raw.images.shape[1:3]
    if size is not None and (height, width) != (size, size):
        raise DataError(
            f"size is {size} and {name} has images of {width}x{height} pixels: only the pictures of a folder are "
            "resized; leave size out"
        )


def _find(name: Any, part: str, where: Path | None, size: int | None, class_names: Sequence[str] | None) -> Raw:
    path = _is_path(name, where)
    name = Path(name) if path else name
    for source in SOURCES:
        if path and not source.paths:
            continue
        if source.load is arrays.load:
            raw = arrays.load(name, part, where, class_names)
        else:
            raw = folder.load(name, part, where, size) if source.load is folder.load else source.load(name, part, where)
            if raw is not None and class_names is not None:
                raise DataError(f"class_names go with arrays and .npz files: {raw.source} brings its own")
        if raw is not None:
            _check_size(name, raw, size)
            return raw
    raise AssertionError("the last source finds the data set or raises")


def _is_path(name: Any, where: Path | None) -> bool:
    """Whether a name is meant as a path: it is written as one, or is that of an image folder here."""
    if not isinstance(name, str):
        return True
    if name in known.KNOWN or name in LOADERS:
        return False
    if name.endswith((".npz", "/", "\\")) or name.startswith((".", "/", "~")) or os.path.isfile(name):
        return True
    return name != "" and folder.holds_classes(Path(name)) and not (where is not None and os.path.exists(where / name))


def _registered(name: Any, part: str, where: Path | None) -> Raw | None:
    make = LOADERS.get(name)
    if make is None:
        return None
    made = make(part, where)
    if made is None:
        raise NotFound(f"{name} has no {part} images: choose another split")
    raw = Raw(*made)
    if name in _OURS and raw.images.dtype == np.float32:  # drawn data, which may also have one class
        return raw
    raw = _checked(name, raw)
    if raw.num_classes is None and raw.class_names is None:
        other = make("test" if part == "train" else "train", where)
        labels = [r.labels for r in (raw, other and _checked(name, Raw(*other))) if r]
        arrays.check_classes(f"{name}: labels", *labels)
        raw = raw._replace(num_classes=max(int(y.max()) for y in labels) + 1)
    return raw


def _checked(name: str, raw: Raw) -> Raw:
    images, labels, names = arrays.check(raw.images, raw.labels, raw.class_names, where=f"{name}: ")
    return raw._replace(
        images=images, labels=labels, class_names=names, source=raw.source or f"the function registered as {name}"
    )


def _nothing_there(name: Any, part: str, where: Path | None) -> None:
    """A data folder that was given and lacks the set is an error, not an invitation to look elsewhere."""
    if where is None:
        return
    if not os.path.isdir(where):
        raise NotFound(f"the data folder {where} does not exist: {tfds.three_ways(name)}")
    raise NotFound(f"the data folder {where} holds no {name} ({part}): {tfds.three_ways(name)}")


# In the order they are asked; the first that has the set is taken.
SOURCES: tuple[Source, ...] = (
    Source("registered", _registered),
    Source("idx", idx.load),
    Source("tfds", tfds.prepared),
    Source("npz", arrays.load, paths=True),
    Source("folder", folder.load, paths=True),
    Source("given folder", _nothing_there),
    Source("download", tfds.download),
)
