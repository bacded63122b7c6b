"""What every Matplotlib figure of this package shares: no window system, and bytes at the end."""

import io
import textwrap
import warnings

DPI = 110


def figure(width: float, height: float):
    """An empty figure of that many inches. It is made without pyplot, which would look for a window system."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def add_title(drawn, title: str, fontsize: float = 9) -> None:
    """Write a title above a figure, wrapped to its width; the figure grows by what the title takes."""
    width, height = drawn.get_size_inches()
    lines = [line for text in title.splitlines() for line in textwrap.wrap(text, int(width * 72 / (0.6 * fontsize)))]
    drawn.set_size_inches(width, height + len(lines) * 1.25 * fontsize / 72)
    drawn.suptitle("\n".join(lines), fontsize=fontsize)


def to_png(drawn) -> bytes:
    """A figure as a PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in letters that Matplotlib's font lacks is drawn as boxes, which is no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
