"""The table of metrics. A new metric is one file in `metrics/` and one entry here.

The order is that of the printed tables, and of the measurement.
"""

from collections.abc import Mapping

from cganjax.evaluation.metrics import (
    accuracy,
    cas,
    diversity,
    frechet,
    kernel,
    memorisation,
    prdc,
    training,
    two_sample,
)
from cganjax.evaluation.records import Metric


def _rank(features: int) -> int:
    """The number of images whose covariance can have full rank."""
    return features + 1


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(
        accuracy.compute,
        at_least=lambda features: 1,
        figures=("accuracy",),
        lists=("accuracy_by_class",),
        labels=True,
        classifier=True,
    ),
    "frechet": Metric(frechet.compute, at_least=_rank, of_reference=_rank, figures=("frechet",)),
    "frechet_train": Metric(frechet.compute_train, at_least=_rank, figures=("frechet_train",), train="statistics"),
    "frechet_by_class": Metric(
        frechet.compute_by_class,
        at_least=_rank,
        of_reference=_rank,
        in_each_class=True,
        lists=("frechet_by_class",),
        labels=True,
    ),
    "kid": Metric(
        kernel.compute,
        at_least=lambda features: kernel.SIZE,
        of_reference=lambda features: kernel.SIZE,
        figures=("kid", "kid_std"),
    ),
    "kid_by_class": Metric(
        kernel.compute_by_class,
        at_least=lambda features: 2,
        of_reference=lambda features: 2,
        in_each_class=True,
        lists=("kid_by_class",),
        labels=True,
    ),
    "prdc": Metric(
        prdc.compute,
        at_least=lambda features: prdc.K_NEAREST + 1,
        of_reference=lambda features: prdc.K_NEAREST + 1,
        figures=("precision", "recall", "density", "coverage"),
    ),
    "diversity": Metric(
        diversity.compute,
        at_least=lambda features: 2,
        in_each_class=True,
        figures=("pixel_std", "feature_distance"),
        labels=True,
    ),
    "memorisation": Metric(
        memorisation.compute,
        at_least=lambda features: 1,
        of_reference=lambda features: memorisation.AT_LEAST,
        figures=("memorised_pixels", "memorised_features", "nearest_pixels", "nearest_features"),
        train="distances",
    ),
    "cas": Metric(
        cas.compute,
        at_least=lambda features: cas.AT_LEAST,
        of_reference=lambda features: 1,
        figures=("cas",),
        labels=True,
        real=True,
        trains=True,
        refuses=training.refuses,
    ),
    "two_sample": Metric(
        two_sample.compute,
        at_least=lambda features: two_sample.AT_LEAST,
        of_reference=lambda features: two_sample.AT_LEAST,
        figures=("two_sample", "two_sample_p"),
        real=True,
        trains=True,
        refuses=training.refuses,
    ),
}

# The figures of a set of images that are single numbers, and those of one number per class, in the order of tables.
SHORT = tuple(figure for metric in METRICS.values() for figure in metric.figures)
LISTS = tuple(figure for metric in METRICS.values() for figure in metric.lists)
