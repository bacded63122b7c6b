"""How well a detector distinguishes real from strange images: AUROC, AUPR, FPR95, and a table for one classifier."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from cganjax.decoys.detectors import calibration, table


def figures(inliers: np.ndarray, outliers: np.ndarray) -> dict[str, float]:
    """How well scores [N] of real images and [M] of strange images are separated.

    Returns:
      auroc; aupr with outliers as the positive class; fpr95, the fraction of outliers accepted at the threshold that
      accepts 95 % of the inliers (Hendrycks and Gimpel 2016; Liang et al. 2017, section 4.3).
    """
    from sklearn import metrics

    values = np.concatenate([inliers, outliers])
    strange = np.arange(len(values)) >= len(inliers)
    threshold = np.quantile(inliers, 0.95, method="higher")
    return {
        "auroc": float(metrics.roc_auc_score(strange, values)),
        "aupr": float(metrics.average_precision_score(strange, values)),
        "fpr95": float(np.mean(outliers <= threshold)),
    }


class Comparison(NamedTuple):
    """One detector against one kind of strange images; all but the names and counts are in percent."""

    detector: str
    against: str
    calibrated: int  # real images that the detector was calibrated on
    real: int  # other real images, which the figures are about
    strange: int
    real_accepted: float
    strange_accepted: float
    auroc: float
    aupr: float
    fpr95: float


def calibration_images(name: str, classifier: Callable, shape: tuple[int, ...], wanted: int, available: int) -> int:
    """How many real images to calibrate a detector on.

    It is `wanted`, or more if the detector needs more to learn from (twice its least number), and never more than
    `available`. It is 0 if the detector needs more than there are.
    """
    least = table.images_needed(name, classifier, shape)
    return 0 if least > available else min(available, max(wanted, 2 * least))


def compare(
    classifier: Callable,
    real: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    strange: Mapping[str, np.ndarray],
    accept: float,
    *,
    wanted: int | None = None,
) -> Iterator[tuple[str, list[Comparison]]]:
    """Calibrate every detector that fits a classifier, and compare real with strange images by each.

    Args:
      classifier: images [N, H, W, C] in [0, 1] -> outputs [N, K], with what `detectors.fitting` uses of it.
      real: [N, H, W, C] images to calibrate on, and labels int [N] of them.
      others: [M, H, W, C] real images that are not among those.
      strange: name -> images [M', H, W, C].
      accept: the fraction of real images accepted, in (0, 1).
      wanted: calibrate on so many of the real images, except for detectors that need more; None uses all.

    Yields:
      A detector's name and one `Comparison` per kind of strange images. The list is empty if there are not enough real
      images to calibrate that detector.
    """
    for name in table.fitting(classifier):
        n = calibration_images(name, classifier, real.shape[1:], wanted or len(real), len(real))
        if n == 0:
            yield name, []
            continue
        detector = calibration.calibrate(name, classifier, real[:n], accept, labels=labels[:n])
        inside = np.asarray(detector.score(others))
        rows = []
        for against, images in strange.items():
            outside = np.asarray(detector.score(images))
            fractions = {
                "real_accepted": np.mean(inside <= detector.threshold),
                "strange_accepted": np.mean(outside <= detector.threshold),
                **figures(inside, outside),
            }
            percent = {k: 100 * float(v) for k, v in fractions.items()}
            rows.append(Comparison(name, against, n, len(others), len(images), **percent))
        yield name, rows
