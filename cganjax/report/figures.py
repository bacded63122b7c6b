"""What every Matplotlib figure of this package shares: no window system, and bytes at the end."""

import io
import warnings

DPI = 110


def figure(width: float, height: float):
    """An empty figure of that many inches. It is made without pyplot, which would look for a window system."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def to_png(drawn) -> bytes:
    """A figure as a PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in letters that Matplotlib's font lacks is drawn as boxes, which is no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
