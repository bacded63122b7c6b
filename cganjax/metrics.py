"""What a training run records in `metrics.jsonl`: how each value is shown, and which one ranks checkpoints.

The values themselves are observed by the training steps (`training.state`); those of generated images are in
`evaluation.metrics`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """How one recorded value is shown."""

    unit: str  # the axis of its curve; metrics of the same unit share a panel
    short: str | None = None  # its name in progress lines; None: it is not shown there
    ranks: bool = False  # whether a checkpoint is better if this is lower; at most one in each run


# A value that is not in this table is recorded, but it is not drawn and not shown.
METRICS = {
    "loss_generator": Metric("loss", "loss G", ranks=True),
    "loss_discriminator": Metric("loss", "loss D"),
    "loss": Metric("loss", "loss", ranks=True),
    "test_loss": Metric("loss"),
    "score_real": Metric("D's score"),
    "score_fake": Metric("D's score"),
    "r1": Metric("squared gradient norm"),
    "r2": Metric("squared gradient norm"),
    "accuracy": Metric("accuracy", "accuracy"),
    "test_accuracy": Metric("accuracy"),
    "learning_rate": Metric("learning rate"),
}


def shown() -> dict[str, str]:
    """The metrics that progress lines have room for, and what they are called there."""
    return {name: metric.short for name, metric in METRICS.items() if metric.short}


def panels() -> dict[str, tuple[str, ...]]:
    """The panels of a run's curves: the unit of each, and the metrics that it shows."""
    units = dict.fromkeys(metric.unit for metric in METRICS.values())
    return {unit: tuple(name for name, metric in METRICS.items() if metric.unit == unit) for unit in units}


def ranking(values: Mapping[str, float]) -> float:
    """The loss by which a run's checkpoints are compared: that of G or of the classifier."""
    return next(values[name] for name, metric in METRICS.items() if metric.ranks and name in values)
