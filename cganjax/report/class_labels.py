"""Class names as labels of rows and bars: short ones, turned or thinned out where there are too many."""

from collections.abc import Sequence

import numpy as np

from cganjax.spec import ImageSpec

MOST_ROWS = 32  # rows of classes in one picture
LONGEST = 14  # letters of a label
MOST_NAMES = 64  # classes that may all have a label; of more classes half as many labels are drawn


def short(name: str, longest: int = LONGEST) -> str:
    """A class name as a label: on one line, at most `longest` letters, and "$" is not the start of a formula.

    Names that begin alike often end differently, so the middle is left out.

    >>> short("a very long class name")
    'a very l… name'
    """
    name = " ".join(name.split())
    if len(name) > longest:
        end = longest // 3 + 1
        name = f"{name[: longest - end - 1]}…{name[-end:]}"
    return name.replace("$", r"\$")


def is_numbered(spec: ImageSpec) -> bool:
    """Whether the classes have no names but "0", "1", ..."""
    return spec.class_names == tuple(map(str, range(spec.num_classes)))


def some_classes(num_classes: int, most: int = MOST_ROWS) -> np.ndarray:
    """The classes that a picture with one row per class shows: all of them, or `most` that are evenly spread.

    >>> some_classes(1000, 5)
    array([  0, 250, 500, 749, 999])
    """
    return np.round(np.linspace(0, num_classes - 1, min(most, num_classes))).astype(int)


def row_names(spec: ImageSpec | None, classes: Sequence[int] | np.ndarray | None = None) -> list[str]:
    """Labels of the rows of a grid that has one class per row; [] if the classes have no names.

    Args:
      spec: of the images.
      classes: the class of each row; None for all classes in their order.
    """
    if spec is None or is_numbered(spec):
        return []
    return [short(spec.class_names[k]) for k in (range(spec.num_classes) if classes is None else classes)]


def label_classes(axes, inches: float, num_classes: int, spec: ImageSpec | None = None, fontsize: float = 8) -> None:
    """Label the bars at 0..num_classes-1 of Matplotlib axes that are `inches` wide."""
    if num_classes <= 10 and (spec is None or is_numbered(spec)):
        axes.set_xticks(np.arange(num_classes))
        return
    names = list(map(str, range(num_classes))) if spec is None else [short(name) for name in spec.class_names]
    room = 72 * inches / fontsize  # in heights of a letter
    upright = 0.65 * (sum(map(len, names)) + len(names)) <= room
    most = min(room / 1.3, num_classes if num_classes <= MOST_NAMES else MOST_NAMES / 2)
    step = 1 if upright else int(np.ceil(num_classes / most))
    axes.set_xticks(np.arange(num_classes)[::step], names[::step], rotation=0 if upright else 90, fontsize=fontsize)
