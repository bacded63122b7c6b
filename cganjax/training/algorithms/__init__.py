"""Training algorithms: `build(config, networks)` gives one update as a pure function, to be jitted once.

The loop decides where and how often the step runs. An algorithm is one file; its line in `ALGORITHMS` is all that the
rest of the project knows of it.
"""

from cganjax.models import Networks
from cganjax.training.algorithms import augmented, classification, relativistic, target
from cganjax.training.algorithms.trainer import Trainer
from cganjax.training.config import Config

ALGORITHMS = {
    "augmented_classification": augmented.trainer,
    "classification": classification.trainer,
    "relativistic": relativistic.trainer,
    "target": target.trainer,
}
# Of these the cores of a CPU share a batch; the others' networks lose more by it than they gain.
SHARED = ("relativistic",)


def build(config: Config, networks: Networks) -> Trainer:
    """The pair (init, step) of the config's algorithm."""
    return ALGORITHMS[config.algorithm](config, networks)
