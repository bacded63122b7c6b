"""Pictures: figures that return arrays, text or PNG bytes, and writers (`save_...`) that put them into files.

Everything here draws arrays that somebody else computed. Figures of images take their `ImageSpec` as `spec`: RGB images
are drawn in colour, light-on-dark drawings as ink on white, dark-on-light images as they are, and classes have names.
"""

from cganjax.report.class_labels import is_numbered, row_names, short, some_classes
from cganjax.report.decoy_sheets import decoy_sheet
from cganjax.report.drawing import shown
from cganjax.report.evaluation_pages import evaluation_page
from cganjax.report.grids import grid, grid_png, png
from cganjax.report.heat_maps import heat_map
from cganjax.report.line_charts import CURVES, curves, lines
from cganjax.report.sheets import sheet
from cganjax.report.terminal import blocks
from cganjax.report.writers import (
    save_curves,
    save_decoys,
    save_evaluation,
    save_grid,
    save_heat_map,
    save_lines,
    save_png,
    save_sheet,
)

__all__ = [
    "CURVES",
    "blocks",
    "curves",
    "decoy_sheet",
    "evaluation_page",
    "grid",
    "grid_png",
    "heat_map",
    "lines",
    "png",
    "is_numbered",
    "row_names",
    "save_curves",
    "save_decoys",
    "save_evaluation",
    "save_grid",
    "save_heat_map",
    "save_lines",
    "save_png",
    "save_sheet",
    "sheet",
    "short",
    "shown",
    "some_classes",
]
