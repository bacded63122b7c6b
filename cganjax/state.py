"""What a training run carries (GANState), and what a step observes (Info). Arrays only."""

from typing import Any, NamedTuple

import jax

from cganjax.types import Params


class GANState(NamedTuple):
    """All that must be carried from step to step; the place in the data follows from `step`."""

    step: jax.Array  # int32 [], updates done so far
    generator: Params
    discriminator: Params
    generator_ema: Params  # the moving average that samples are drawn from
    generator_optimizer: Any  # optax states
    discriminator_optimizer: Any


class Info(NamedTuple):
    """What one step observed, each float32 []; the field names are the metric names everywhere."""

    loss_generator: jax.Array
    loss_discriminator: jax.Array  # the pairing loss, without the penalties
    score_real: jax.Array  # mean of D's scores of real images
    score_fake: jax.Array  # mean of D's scores of generated images
    r1: jax.Array  # mean squared gradient norm at real images
    r2: jax.Array  # the same at generated images
