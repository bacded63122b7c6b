"""What every algorithm is, and what those of generators and those of classifiers share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cganjax import rng
from cganjax.models import Network, Networks
from cganjax.training.state import ClassifierState, GANState
from cganjax.types import Batch, Params, Weights


class Trainer(NamedTuple):
    """An algorithm as two pure functions of the run's key."""

    init: Callable[[jax.Array], Any]  # key -> state
    step: Callable[[jax.Array, Any, Batch], tuple[Any, Any]]  # (key, state, batch) -> (state, info)


def first_state(networks: Networks, optimizer: optax.GradientTransformation, key: jax.Array, *, ema: bool) -> GANState:
    """A generator's and a discriminator's state before the first update; with `ema`, the average starts at G's."""
    key_init = rng.stream(key, "init")
    generator = networks.generator.init(rng.stream(key_init, "generator"))
    discriminator = networks.discriminator.init(rng.stream(key_init, "discriminator"))
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        # A copy: the state is donated to the step, and a buffer can be donated only once.
        generator_ema=jax.tree.map(jnp.copy, generator.params) if ema else None,
        generator_optimizer=optimizer.init(generator.params),
        discriminator_optimizer=optimizer.init(discriminator.params),
    )


def first_classifier_state(
    networks: Networks, optimizer: optax.GradientTransformation, key: jax.Array
) -> ClassifierState:
    """A classifier's state before the first update."""
    weights = networks.classifier.init(rng.stream(rng.stream(key, "init"), "classifier"))
    return ClassifierState(jnp.zeros((), jnp.int32), weights, optimizer.init(weights.params))


def mean_cross_entropy(
    params: Params, classifier: Network, statistics: Params, key: jax.Array, images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, tuple[Params, jax.Array]]:
    """A classifier's loss in a training pass, to be differentiated in `params`.

    Args:
      params, statistics: of the classifier; its running statistics move.
      key: for dropout.
      images: float [N, H, W, C] in [0, 1].
      labels: int [N].

    Returns:
      The mean cross-entropy [], the new statistics, and the fraction [] of the images that are classified correctly.
    """
    logits, statistics = classifier.train(Weights(params, statistics), key, images)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), (statistics, jnp.mean(logits.argmax(axis=-1) == labels))


def update(optimizer: optax.GradientTransformation, gradient: Params, state: Any, params: Params) -> tuple[Params, Any]:
    """One step of an optimizer: the new params and its new state."""
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state
