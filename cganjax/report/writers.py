"""Figures into files: `save_X(path, ...)` writes what `X(...)` returns, whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cganjax.files import write_file
from cganjax.report.decoy_sheets import decoy_sheet
from cganjax.report.evaluation_pages import evaluation_page
from cganjax.report.grids import grid_png, png
from cganjax.report.heat_maps import heat_map
from cganjax.report.line_charts import curves, lines
from cganjax.report.sheets import sheet


def save_png(path: Path, sheet: np.ndarray, scale: int = 2) -> None:
    """Write a picture uint8 [H, W] or [H, W, 3] as a PNG, each pixel `scale` pixels wide."""
    write_file(path, png(sheet, scale))


def _writer(figure: Callable[..., bytes]) -> Callable[..., None]:
    def save(path: Path, *args, **kwargs) -> None:
        write_file(path, figure(*args, **kwargs))

    save.__name__ = save.__qualname__ = f"save_{figure.__name__}"
    save.__doc__ = f"Write the PNG of `{figure.__name__}` to a path; the other arguments are those of that function."
    return save


save_grid = _writer(grid_png)
save_curves = _writer(curves)
save_lines = _writer(lines)
save_sheet = _writer(sheet)
save_decoys = _writer(decoy_sheet)
save_heat_map = _writer(heat_map)
save_evaluation = _writer(evaluation_page)
