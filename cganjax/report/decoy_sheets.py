"""The sheet of a decoy attack: images before and after it, the difference, and the confidences of both."""

import numpy as np

from cganjax.report.class_labels import is_numbered, short
from cganjax.report.drawing import draw, draw_change
from cganjax.report.figures import add_title, figure, to_png
from cganjax.spec import ImageSpec

PER_ROW = 10  # images
MOST_BARS = 12  # classes whose confidences are all drawn; of more classes only the `FEW` most confident ones are
FEW = 6


def decoy_sheet(
    clean: np.ndarray,
    decoys: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    rejected: np.ndarray,
    *,
    rule: str = "",
    least: float | None = None,
    spec: ImageSpec | None = None,
) -> bytes:
    """Images, their decoys, the difference, and the confidence of every class, as a PNG; ten images per row.

    Above each image stands its highest confidence.

    Args:
      clean: images float [N, H, W, C] in [0, 1].
      decoys: the same after the attack.
      before: confidences [N, K] of the images.
      after: confidences [N, K] of the decoys.
      rejected: bool [N], whether the detector rejects the decoy.
      rule: what the detector rejects, in words; it stands above the sheet.
      least: the lowest highest-confidence that the detector accepts, if it goes by that: a line in the bars.
      spec: of the images; its class names label the bars. See `grid`.
    """
    columns, parts = min(len(clean), PER_ROW), ("clean", "decoy", "difference", "confidence")
    bands = -(-len(clean) // columns)
    drawn = figure(1.25 * columns + 0.9, 5.2 * bands)
    places = drawn.subplots(4 * bands, columns, squeeze=False)
    largest = max(float(np.abs(decoys - clean).max()), 1e-3)
    for axes in places.ravel():
        axes.set_axis_off()
    for i in range(len(clean)):
        band, column = divmod(i, columns)
        picture, decoy, difference, bars = places[4 * band : 4 * band + 4, column]
        for axes in (picture, decoy, difference):
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
        draw(picture, clean[i], spec)
        draw(decoy, decoys[i], spec)
        draw_change(difference, decoys[i] - clean[i], largest, spec)
        picture.set_title(f"{before[i].max():.3f}", fontsize=9)
        decoy.set_title(
            f"{after[i].max():.3f}{' rejected' if rejected[i] else ''}", fontsize=8, color="C3" if rejected[i] else "k"
        )
        _bars(bars, before[i], after[i], least, spec, first=column == 0)
        if column == 0:
            for part, name in enumerate(parts):
                places[4 * band + part, 0].set_ylabel(name, fontsize=9)
    scale = f"The difference has its full colours at a change of {largest:.2g} of a pixel in [0, 1]"
    colours = "red: darker, blue: lighter" if clean.shape[-1] == 1 else "grey: no change"
    above = "Above each image: its highest confidence."
    add_title(drawn, "\n".join([*([rule] if rule else []), f"{above} {scale} ({colours})."]))
    bars = places[3, 0]
    drawn.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return to_png(drawn)


def _bars(
    axes, before: np.ndarray, after: np.ndarray, least: float | None, spec: ImageSpec | None, first: bool
) -> None:
    """The confidences [K] of an image and of its decoy."""
    shown = np.arange(len(before))
    if len(before) > MOST_BARS:
        shown = np.sort(np.argsort(-np.maximum(before, after), kind="stable")[:FEW])
    places = np.arange(len(shown))
    axes.set_axis_on()
    axes.bar(places - 0.2, before[shown], 0.4, color="0.6", label="clean")
    axes.bar(places + 0.2, after[shown], 0.4, color="C3", label="decoy")
    if least is not None:
        axes.axhline(least, color="k", linewidth=0.8, linestyle=":", label=f"rejected if all are below {least:.4f}")
    axes.set(ylim=(0, 1.05), xticks=places, yticks=[0, 1] if first else [])
    axes.tick_params(labelsize=6)
    if spec is not None and not is_numbered(spec):
        axes.set_xticklabels([short(spec.class_names[k]) for k in shown], rotation=90)
    elif len(before) > MOST_BARS:
        axes.set_xticklabels(shown)
