"""Training algorithms: `build(config, networks)` gives one update as a pure function, to be jitted once.

The loop decides where and how often the step runs. An algorithm is one file with its config, its rules and its
`trainer`; the rest of the project knows it by its entry in `ALGORITHMS`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cganjax.models import Networks
from cganjax.training.algorithms import augmented, classification, relativistic, target
from cganjax.training.algorithms.trainer import Trainer
from cganjax.training.config import Config


class Algorithm(NamedTuple):
    """What the rest of the project knows of an algorithm."""

    config: type[Config]  # its record; the default of `algorithm` there is the key in `ALGORITHMS`
    trainer: Callable[[Any, Networks], Trainer]  # (config, networks) -> its two pure functions
    init_from: bool = False  # whether a run can begin with the weights of a checkpoint
    shares_batch: bool = False  # whether a CPU's cores share a batch by default; small networks lose by it


ALGORITHMS: Mapping[str, Algorithm] = {
    "augmented_classification": Algorithm(augmented.AugmentedClassification, augmented.trainer),
    "classification": Algorithm(classification.Classification, classification.trainer),
    "relativistic": Algorithm(relativistic.RelativisticGAN, relativistic.trainer, init_from=True, shares_batch=True),
    "target": Algorithm(target.TargetGAN, target.trainer),
}
SHARED = tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.shares_batch)


def build(config: Config, networks: Networks) -> Trainer:
    """The pair (init, step) of the config's algorithm. Raises UserError if it cannot train these networks."""
    return ALGORITHMS[config.algorithm].trainer(config, networks)
