"""A classifier's step on changed images: moved, noisy, or against an adversary; Adam under a half cosine."""

import jax
import jax.numpy as jnp
import optax

from cganjax import augment, pixels, rng
from cganjax.decoys.attacks import gradient, norms
from cganjax.models import Networks
from cganjax.training.algorithms.trainer import Trainer
from cganjax.training.config import AugmentedClassification
from cganjax.training.state import ClassifierInfo, ClassifierState
from cganjax.types import Batch, Weights

GROWTH = 0.2  # share of the run over which the adversary grows to its full size


def trainer(config: AugmentedClassification, networks: Networks) -> Trainer:
    """Cross-entropy of a classifier of images in [0, 1], each changed as the config says.

    References:
      Madry et al., "Towards deep learning models resistant to adversarial attacks" (arXiv 1706.06083), eq. 2.1: the
      inner maximum by projected gradient steps from a random start.
    """
    classify, apply = networks.classifier.train, networks.classifier.apply
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )
    steps = config.adversary_steps
    adversary = gradient.Descent(steps=steps, share=min(1.0, 2.5 / steps), random_start=True)

    def init(key: jax.Array) -> ClassifierState:
        weights = networks.classifier.init(rng.stream(rng.stream(key, "init"), "classifier"))
        return ClassifierState(jnp.zeros((), jnp.int32), weights, optimizer.init(weights.params))

    def changed(key: jax.Array, step: jax.Array, weights: Weights, images: jax.Array, labels: jax.Array) -> jax.Array:
        if config.shift or config.rotation:
            images = augment.moved(rng.stream(key, "move"), images, config.shift, config.rotation)
        if config.noise:
            images = augment.noisy(rng.stream(key, "noise"), images, config.noise)
        if config.adversary_epsilon:
            # Against the full size from the start a network stays at one answer for all.
            grown = jnp.minimum(1.0, (step + 1).astype(jnp.float32) / (GROWTH * config.steps))
            epsilon = jnp.broadcast_to(config.adversary_epsilon * grown, (len(images),))
            bounds = norms.Bounds(images, epsilon, jnp.ones_like(images))

            def right(images, labels):
                return -optax.softmax_cross_entropy_with_integer_labels(apply(weights, images), labels)

            keys = rng.items(rng.stream(key, "adversary"), len(images))
            images, _ = gradient.descend(keys, right, bounds, labels, "linf", adversary)
        return images

    def step(key: jax.Array, state: ClassifierState, batch: Batch) -> tuple[ClassifierState, ClassifierInfo]:
        labels, key_step = batch.labels, jax.random.fold_in(rng.stream(key, "augment"), state.step)
        images = changed(key_step, state.step, state.classifier, pixels.rest_to_unit(batch.images), labels)
        dropout = jax.random.fold_in(rng.stream(key, "dropout"), state.step)

        def mean_loss(params):
            logits, statistics = classify(Weights(params, state.classifier.statistics), dropout, images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), (statistics, jnp.mean(logits.argmax(axis=-1) == labels))

        (loss, (statistics, accuracy)), grads = jax.value_and_grad(mean_loss, has_aux=True)(state.classifier.params)
        updates, optimizer_state = optimizer.update(grads, state.optimizer, state.classifier.params)
        params = optax.apply_updates(state.classifier.params, updates)
        rate = jnp.float32(schedule(state.step))
        return ClassifierState(state.step + 1, Weights(params, statistics), optimizer_state), ClassifierInfo(
            loss, accuracy, rate
        )

    return Trainer(init, step)
