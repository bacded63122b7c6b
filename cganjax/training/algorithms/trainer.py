"""What every algorithm is, and what those of two networks share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cganjax import rng
from cganjax.models import Networks
from cganjax.training.state import GANState
from cganjax.types import Batch, Params


class Trainer(NamedTuple):
    """An algorithm as two pure functions of the run's key."""

    init: Callable[[jax.Array], Any]  # key -> state
    step: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]  # (key, state, batch) -> (state, info)


def first_state(networks: Networks, optimizer: optax.GradientTransformation, key: jax.Array, *, ema: bool) -> GANState:
    """The state before the first update: fresh weights, and an average that begins at G's."""
    key_init = rng.stream(key, "init")
    generator = networks.generator.init(rng.stream(key_init, "generator"))
    discriminator = networks.discriminator.init(rng.stream(key_init, "discriminator"))
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        # A copy: the state is donated, no buffer twice.
        generator_ema=jax.tree.map(jnp.copy, generator.params) if ema else None,
        generator_optimizer=optimizer.init(generator.params),
        discriminator_optimizer=optimizer.init(discriminator.params),
    )


def update(optimizer: optax.GradientTransformation, gradient: Params, state: Any, params: Params):
    """One step of an optimiser: the new params and its new state."""
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state
