"""The figures of several sets of images as a table of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cganjax.evaluation.table import LISTS, SHORT

MOST = 26  # classes whose figures are printed one by one


def table(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a table with one line per figure.

    Args:
      columns: the figures of each set of images by the name of its column, with `samples` and `intervals`.
    """
    widths = {name: max(20, len(name)) for name in columns}
    yield " " * 22 + "".join(f"{name:>{w + 2}}" for name, w in widths.items())
    counts = {name: column["samples"] for name, column in columns.items()}
    yield f"{'samples':22}" + "".join(f"{counts[name]:>{w + 2},}" for name, w in widths.items())
    if len(set(counts.values())) > 1:
        yield (
            "columns of different numbers of samples cannot be compared: give --data-dir, so that all have the same "
            "number"
        )
    for figure in SHORT:
        if any(figure in column for column in columns.values()):
            cells = (f"{_with_interval(figure, columns[name]):>{w + 2}}" for name, w in widths.items())
            yield f"{figure:22}" + "".join(cells)
    for figure in LISTS:
        for name, column in columns.items():
            if figure in column:
                yield f"{figure:16} {by_class(column[figure])}  {name}"


def quality(found: Mapping[str, Any]) -> str:
    """One sentence that says how good an extractor is, of what `networks.quality` found; "" if nothing is known.

    >>> quality({"name": "x", "test_accuracy": 0.9878, "data": "mine", "frechet_of_real": 0.088, "real": 418})
    'x classifies 98.8 % of the test images of mine correctly; 418 real images have a Frechet distance of 0.0880 in \
its features'
    """
    said = []
    if "test_accuracy" in found:
        said.append(
            f"{found['name']} classifies {100 * found['test_accuracy']:.1f} % of the test images of {found['data']} "
            "correctly"
        )
    if "frechet_of_real" in found:
        real = f"{found['real']:,} real images have a Frechet distance of {found['frechet_of_real']:.4f}"
        said.append(f"{real} in {'its features' if said else 'the features of ' + found['name']}")
    return "; ".join(said)


def _with_interval(figure: str, column: Mapping[str, Any]) -> str:
    """A figure and half the width of its interval; "" if the column does not have it."""
    if figure not in column:
        return ""
    low, high = column["intervals"].get(figure, (0, 0))
    return f"{column[figure]:.4f}" + (f" +-{(high - low) / 2:.4f}" if high > low else "")


def by_class(values: Sequence[float | None]) -> str:
    """One number per class, or the range of them if there are more than `MOST` classes.

    >>> by_class([0.5, None])
    '     0.5        -'
    >>> by_class([k / 100 for k in range(100)])
    'lowest 0, median 0.5, highest 0.99 of 100 classes'
    """
    if len(values) <= MOST:
        return " ".join("       -" if v is None else f"{v:8.4g}" for v in values)
    there = sorted(v for v in values if v is not None)
    low, middle, high = there[0], there[len(there) // 2], there[-1]
    return f"lowest {low:.4g}, median {middle:.4g}, highest {high:.4g} of {len(values)} classes"
