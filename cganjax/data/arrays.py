"""Data sets that are arrays already: given from Python, or in an .npz file. `check` says what is wrong with arrays."""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from cganjax import checks, npz
from cganjax.data import splits
from cganjax.data.record import GIVEN, NotFound, Raw, polarity_of
from cganjax.types import DataError, DataTypeError

MOST_CLASSES = 65_536  # a larger label is a mistake: names are kept for every class up to it
# The names of the arrays in an .npz file: of both parts, or of an undivided set.
_LAYOUTS: tuple[Mapping[str, tuple[str, str]], ...] = (
    {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
    {"train": ("train_images", "train_labels"), "test": ("test_images", "test_labels")},
    {"all": ("images", "labels")},
)
_EXPECTED = (
    "images and labels; or x_train, y_train, x_test, y_test; or train_images, train_labels, test_images, test_labels"
)


def given(images: Any, labels: Any, class_names: Sequence[str] | None = None, polarity: str | None = None) -> Raw:
    """Arrays given from Python, checked. See `check` for the arguments and the errors."""
    images, labels, names = check(images, labels, class_names)
    if names is None:
        check_classes("labels", labels)
    return Raw(images, labels, source=GIVEN, class_names=names, polarity=polarity, place=GIVEN)


def load(name: str | Path, part: str, folder: Path | None, class_names: Sequence[str] | None = None) -> Raw | None:
    """One part of an .npz file, given by its path, or by its name if the data folder has it.

    Raises:
      NotFound: the path does not exist.
      DataError: the file cannot be read, holds no arrays of a known layout, or its arrays are no data set.
    """
    path = _find(name, folder)
    return None if path is None else read_npz(path, part, class_names)


def read_npz(path: Path, part: str, class_names: Sequence[str] | None = None) -> Raw:
    """One part of an .npz file.

    Args:
      path: a file with one of three layouts of arrays: `images` and `labels`, which one image in six of each class
        leaves for the test part; `x_train`, `y_train`, `x_test`, `y_test`; or `train_images`, `train_labels`,
        `test_images`, `test_labels`. Images are uint8 [N, H, W, C] or [N, H, W], labels int [N]. `class_names`, an
        array of K strings, is optional.
      part: "train" or "test".
      class_names: names instead of those in the file.

    Returns:
      The part. The polarity of grey images is decided by both parts together.

    Raises:
      DataError: the file cannot be read, holds no arrays of a known layout, or its arrays are no data set.
    """
    layout, found = _arrays_of(path)
    if class_names is None and "class_names" in found:
        class_names = found["class_names"].tolist()
    checked = {
        key: check(*(found[name] for name in pair), class_names, where=f"{path}: ", called=pair)
        for key, pair in layout.items()
    }
    every = list(checked.values())
    names = every[0][2]
    if names is None:
        called = " and ".join(name for _, name in layout.values())
        check_classes(f"{path}: {called}", *(labels for _, labels, _ in every))
    num_classes = len(names) if names else max(int(labels.max()) for _, labels, _ in every) + 1
    if "all" in checked:
        images, labels, _ = checked["all"]
        mine = splits.test_rows(images, labels) == (part == "test")
        images, labels = images[mine], labels[mine]
    else:
        images, labels, _ = checked[part]
        shapes = [images.shape[1:] for images, _, _ in every]
        if shapes[0] != shapes[1]:
            raise DataError(
                f"{path}: {layout['train'][0]} holds images of {shapes[0]}, {layout['test'][0]} of {shapes[1]}: all "
                "images must have one shape"
            )
    if not len(images):
        raise DataError(f"{path} is too small to have a {part} split: give at least two different images of a class")
    polarity = polarity_of(*(images for images, _, _ in every))
    return Raw(images, labels, num_classes, f"the file {path}", (), names, polarity, str(path.resolve()))


def _arrays_of(path: Path) -> tuple[Mapping[str, tuple[str, str]], dict[str, np.ndarray]]:
    """The layout of a file, (images, labels) by part, and those of its arrays that the layout and names need."""
    try:
        with path.open("rb") as file:
            if file.read(len(npz.MAGIC)) == npz.MAGIC:
                raise DataError(f"{path} holds one array: save images and labels with np.savez(path, images=, labels=)")
            held = npz.names(file)
            layout = next((x for x in _LAYOUTS if {name for pair in x.values() for name in pair} <= {*held}), None)
            if layout is None:
                _check_labelled(path, {*held})
                raise DataError(f"{path} holds {', '.join(held) or 'no array'}: expected {_EXPECTED}")
            wanted = [name for pair in layout.values() for name in pair]
            return layout, npz.read(file, [name for name in (*wanted, "class_names") if name in held])
    except npz.NotArrays as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path} holds pickled objects, which are never loaded: save plain arrays with np.savez, images as "
                "uint8, labels as integers, class_names as strings"
            ) from None
        raise DataError(f"{path} cannot be read as an .npz file ({error}): save it again with np.savez") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): check the file and its rights") from None


def _check_labelled(path: Path, held: Set[str]) -> None:
    """Raise DataError if a file has all images of a layout, and only labels are missing."""
    for layout in _LAYOUTS:
        images, labels = zip(*layout.values(), strict=True)
        if held >= {*images}:
            missing = [name for name in labels if name not in held]
            raise DataError(
                f"{path} holds {' and '.join(images)} and lacks {' and '.join(missing)}: the labels are missing; save "
                f"them too, integers [N], with np.savez(path, {', '.join(f'{name}=' for name in images + labels)})"
            )


def check(
    images: Any,
    labels: Any,
    class_names: Sequence[str] | None = None,
    *,
    where: str = "",
    called: tuple[str, str] = ("images", "labels"),
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
    """Check that arrays can be a data set.

    >>> images, labels, names = check(np.zeros((3, 8, 8), np.uint8), [0, 1, 1])
    >>> images.shape, labels.tolist(), names
    ((3, 8, 8, 1), [0, 1, 1], None)

    Args:
      images: uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB), 0 to 255; or [N, H, W] for grey.
      labels: int [N], from 0 to K-1.
      class_names: the K names, or None.
      where: what an error message begins with.
      called: what error messages call images and labels.

    Returns:
      images uint8 [N, H, W, C], labels int64 [N], and the names as a tuple or None.

    Raises:
      DataTypeError: a wrong type or dtype.
      DataError: a wrong shape, length, range or name. Both are `UserError` and `ValueError`, the first a `TypeError`.
    """
    x, y = (f"{where}{name}" for name in called)
    # Advice is code that runs: a list has no methods of an array.
    call_x, call_y = (
        name if hasattr(value, "astype") else f"np.asarray({name})"
        for value, name in zip((images, labels), called, strict=True)
    )
    images, labels = _array(images, x), _array(labels, y)
    _check_images(images, x, call_x)
    _check_labels(labels, y, len(images), called[0], call_y)
    names = None if class_names is None else _names(class_names, f"{where}class_names")
    most = MOST_CLASSES if names is None else len(names)
    wrong = np.flatnonzero((labels < 0) | (labels >= most))
    if len(wrong):
        why = "" if labels[wrong[0]] < 0 or names is None else f", because class_names has {most} names"
        largest = "K-1" if names is None else str(most - 1)
        hint = "; number the classes with np.unique(labels, return_inverse=True)" * (names is None)
        raise DataError(f"{y}[{wrong[0]}] is {labels[wrong[0]]}: expected an integer from 0 to {largest}{why}{hint}")
    if names is None and labels.max() == 0:
        raise DataError(f"{y} hold one class, 0: expected at least two classes; give class_names if others may come")
    return images[..., None] if images.ndim == 3 else images, labels.astype(np.int64), names


def check_classes(called: str, *labels: np.ndarray) -> None:
    """Raise DataError unless each class from 0 to the largest label has an image. Named classes need none.

    Labels such as 300 to 302 would otherwise make 300 classes that a network learns to ignore.

    Args:
      called: what the error message calls the labels.
      labels: int [N] of each part of the data set.
    """
    counts = np.bincount(np.concatenate(labels))
    if not counts.all():
        raise DataError(
            f"{called} have no image of class {counts.argmin()}: expected images of each class from 0 to "
            f"{len(counts) - 1}; number the classes with np.unique(labels, return_inverse=True), or give class_names "
            "if classes without images are meant"
        )


def _array(value: Any, name: str) -> np.ndarray:
    if value is None:
        raise DataTypeError(f"{name} is missing: give images=, uint8 [N, H, W, C], and labels=, integers [N]")
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"{name} has rows of different shapes: expected one array of images of one size") from None
    except TypeError:  # such as a JAX key
        raise DataTypeError(f"{name} is of type {type(value).__name__}: expected an array") from None


def _check_images(images: np.ndarray, x: str, call: str) -> None:
    if images.dtype != np.uint8:
        raise DataTypeError(f"{x} has dtype {images.dtype}: expected uint8 from 0 to 255; {_to_uint8(images, x, call)}")
    shape = list(images.shape)
    if images.ndim not in (3, 4):
        raise DataError(f"{x} has the shape {shape}: expected [N, H, W, C], or [N, H, W] for grey images")
    if not images.size:
        raise DataError(f"{x} has the shape {shape}: expected at least one image of at least one pixel")
    if images.ndim == 4 and images.shape[3] not in (1, 3):
        if images.shape[1] in (1, 3):
            hint = f"move the channels to the end with {call}.transpose(0, 2, 3, 1)"
        elif images.shape[3] == 4:
            hint = "blend the transparent pixels with a background, then drop the fourth channel"
        else:
            hint = "convert the images to grey or RGB"
        raise DataError(f"{x} has the shape {shape}: expected 1 or 3 channels at the end; {hint}")


def _to_uint8(images: np.ndarray, x: str, call: str) -> str:
    """What to do about images of another dtype. `x` names them, and `call` is an expression for them as an array."""
    name = x.rsplit(" ", 1)[-1]
    as_uint8 = f"{name}.astype(np.uint8)" if call == name else f"np.asarray({name}, np.uint8)"
    if images.dtype == bool:
        return f"convert with {as_uint8} * 255"
    if not np.issubdtype(images.dtype, np.number) or np.iscomplexobj(images) or not images.size:
        return "give an array of numbers"
    if np.isnan(images).any():
        return f"{name} holds NaN at {[int(i) for i in np.argwhere(np.isnan(images))[0]]}, so mend it first"
    low, high = images.min(), images.max()
    if np.issubdtype(images.dtype, np.integer):
        if 0 <= low and high <= 255:
            return f"convert with {as_uint8}"
    elif 0 <= low and high <= 1:
        return f"its values lie in [0, 1], so convert with np.round({call} * 255).astype(np.uint8)"
    elif -1 <= low and high <= 1:
        return f"its values lie in [-1, 1], so convert with np.round(({call} + 1) * 127.5).astype(np.uint8)"
    return f"its values lie in [{low:g}, {high:g}], so scale them to 0 to 255 and round"


def _check_labels(labels: np.ndarray, y: str, n: int, images: str, call: str) -> None:
    name = y.rsplit(" ", 1)[-1]
    if labels.ndim != 1:
        hint = ""
        if labels.ndim == 2:
            what = "ravel()" if labels.shape[1] == 1 else "argmax(axis=1), if they are one-hot"
            hint = f"; use {call}.{what}"
        raise DataError(f"{y} has the shape {list(labels.shape)}: expected [N], one integer per image{hint}")
    if len(labels) != n:
        raise DataError(f"{y} has {len(labels)} entries and {images} {n}: expected one label per image")
    if not np.issubdtype(labels.dtype, np.integer):
        numeric = np.issubdtype(labels.dtype, np.floating) and np.isfinite(labels).all()
        if numeric and (labels == np.round(labels)).all():
            hint = f"convert with {call}.astype(int)"
        else:
            hint = f"number the classes with np.unique({name}, return_inverse=True)"
        raise DataTypeError(f"{y} has dtype {labels.dtype}: expected integers from 0 to K-1; {hint}")


def _names(names: Sequence[str], called: str) -> tuple[str, ...]:
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable) or getattr(names, "shape", None) == ():
        raise DataTypeError(f"{called} is {checks.shown(names)}: expected a list of names, one per class")
    names = tuple(names)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise DataTypeError(f"{called}[{i}] is {checks.shown(name)}: expected a string")
        if not name.strip() or name in names[:i]:
            raise DataError(f"{called}[{i}] is {name!r}: expected names that are not empty and all different")
    if len(names) < 2:
        raise DataError(f"{called} has {len(names)} names: expected at least two classes")
    return names


def _find(name: str | Path, folder: Path | None) -> Path | None:
    """The .npz file that a path or a name means; None if it means none."""
    if isinstance(name, str):
        places = [] if folder is None else [folder / f"{name}.npz", folder / name / f"{Path(name).name}.npz"]
        return next((place for place in places if os.path.isfile(place)), None)
    path = Path(os.path.expanduser(name))
    if path.suffix != ".npz":
        return None
    places = [path] if folder is None else [path, folder / path]
    found = next((place for place in places if os.path.isfile(place)), None)
    if found is None:
        raise NotFound(f"the file {path} does not exist: give the path of an .npz file with images and labels")
    return found
