"""What a training run carries (states), and what a step observes (infos). Both hold only arrays.

A state's `weights()` gives the networks in it under the names that checkpoints use. `cganjax.metrics` says how the
values of an info are shown.
"""

from typing import Any, NamedTuple

import jax

from cganjax.types import Params, Weights


class GANState(NamedTuple):
    """What is carried from step to step; the position in the data follows from `step`."""

    step: jax.Array  # int32 [], updates done so far
    generator: Weights
    discriminator: Weights
    generator_ema: Params | None  # the moving average that generates the samples; None if G itself does
    generator_optimizer: Any  # optax states
    discriminator_optimizer: Any

    def weights(self) -> dict[str, Weights]:
        """The networks by role; the generator is its moving average, if any."""
        ema = self.generator_ema
        generator = self.generator if ema is None else Weights(ema, self.generator.statistics)
        return {"generator": generator, "discriminator": self.discriminator}


class ClassifierState(NamedTuple):
    """What is carried from step to step when a classifier is trained."""

    step: jax.Array  # int32 []
    classifier: Weights
    optimizer: Any

    def weights(self) -> dict[str, Weights]:
        """The networks by role."""
        return {"classifier": self.classifier}


class GANInfo(NamedTuple):
    """What one step observed, each float32 []; the field names are the metric names everywhere."""

    loss_generator: jax.Array
    loss_discriminator: jax.Array  # on real and on generated images: their sum, or their mean if D learns in turn
    score_real: jax.Array  # mean of D's outputs for real images
    score_fake: jax.Array  # mean of D's outputs for generated images


class PenalisedGANInfo(NamedTuple):
    """`GANInfo` and the penalties. `loss_discriminator` is without them; mismatched pairs count as generated."""

    loss_generator: jax.Array
    loss_discriminator: jax.Array
    score_real: jax.Array
    score_fake: jax.Array
    r1: jax.Array  # mean squared gradient norm at real images
    r2: jax.Array  # mean squared gradient norm at generated images


class ClassifierInfo(NamedTuple):
    """What one step of a classifier observed, each float32 []."""

    loss: jax.Array  # mean cross-entropy of the batch, before the update
    accuracy: jax.Array  # fraction of the batch that was classified correctly
    learning_rate: jax.Array
