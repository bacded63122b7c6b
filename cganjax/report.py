"""Pictures and logs: grids as PNG, curves, `metrics.jsonl`, images as block characters. Reads arrays, computes none."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cganjax import pixels
from cganjax.checkpoint import read_metrics
from cganjax.files import write_file


def grid(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay images [N, H, W, 1] in [0, 1] out row by row: uint8 [rows, cols] of ink on white, the rest left white."""
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap), 255, np.uint8)
    for i, image in enumerate(255 - pixels.unit_to_rest(images)[..., 0]):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def save_png(path: Path, sheet: np.ndarray, scale: int = 2) -> None:
    """Write a grey picture uint8 [H, W], each pixel `scale` wide."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1)).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())


def blocks(image: np.ndarray) -> str:
    """An image [H, W, 1] in [0, 1] as text, two rows of pixels a line."""
    ink = np.asarray(image)[..., 0] > 0.4
    ink = np.pad(ink, ((0, ink.shape[0] % 2), (0, 0)))
    return "\n".join(
        "".join(" ▄▀█"[2 * top + bottom] for top, bottom in zip(upper, lower, strict=True)).rstrip()
        for upper, lower in zip(ink[::2].astype(int), ink[1::2].astype(int), strict=True)
    )


class MetricsLog:
    """`metrics.jsonl`: one object a line. Opened at a step, it forgets lines of later steps, which will come again."""

    def __init__(self, path: Path, step: int):
        self.rows = [row for row in read_metrics(path) if row["step"] <= step]
        write_file(path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line, on disk at once."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


CURVES = (
    ("loss", ("loss_generator", "loss_discriminator")),
    ("D's score", ("score_real", "score_fake")),
    ("squared gradient norm", ("r1", "r2")),
)


def save_curves(path: Path, rows: Sequence[Mapping[str, float]], title: str) -> None:
    """Draw the curves of a run from its metrics, one panel a unit, against the step."""
    from matplotlib.figure import Figure  # without pyplot: no window system is asked for

    panels = [(unit, [n for n in names if rows and n in rows[0]]) for unit, names in CURVES]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, (unit, names) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name in names:
            axes.plot([r["step"] for r in rows], [r[name] for r in rows], label=name, linewidth=1)
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        if names:
            axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_file(path, buffer.getvalue())
