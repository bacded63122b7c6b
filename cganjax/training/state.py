"""What a training run carries (states), and what a step observes (infos). Arrays only.

A state's `weights()` names the networks in it as checkpoints do, each as use wants it.
"""

from typing import Any, NamedTuple

import jax

from cganjax.types import Params, Weights


class GANState(NamedTuple):
    """All that must be carried from step to step; the place in the data follows from `step`."""

    step: jax.Array  # int32 [], updates done so far
    generator: Weights
    discriminator: Weights
    generator_ema: Params | None  # the moving average that samples are drawn from; None where they come from G itself
    generator_optimizer: Any  # optax states
    discriminator_optimizer: Any

    def weights(self) -> dict[str, Weights]:
        """The networks by role; the generator is its average where there is one."""
        ema = self.generator_ema
        generator = self.generator if ema is None else Weights(ema, self.generator.statistics)
        return {"generator": generator, "discriminator": self.discriminator}


class ClassifierState(NamedTuple):
    """The same for a classifier."""

    step: jax.Array  # int32 []
    classifier: Weights
    optimizer: Any

    def weights(self) -> dict[str, Weights]:
        """The networks by role."""
        return {"classifier": self.classifier}


class GANInfo(NamedTuple):
    """What one step observed, each float32 []; the field names are the metric names everywhere."""

    loss_generator: jax.Array
    loss_discriminator: jax.Array  # on real and on generated images: the sum, or where D learns in turn the mean
    score_real: jax.Array  # mean of D's outputs for real images
    score_fake: jax.Array  # mean of D's outputs for generated images


class PenalisedGANInfo(NamedTuple):
    """`GANInfo`, and the penalties; `loss_discriminator` is without them, and mismatched pairs count as generated."""

    loss_generator: jax.Array
    loss_discriminator: jax.Array
    score_real: jax.Array
    score_fake: jax.Array
    r1: jax.Array  # mean squared gradient norm at real images
    r2: jax.Array  # the same at generated images


class ClassifierInfo(NamedTuple):
    """The same for a classifier."""

    loss: jax.Array  # mean cross-entropy of the batch, before the update
    accuracy: jax.Array  # share of the batch that was right
    learning_rate: jax.Array
