"""A classifier's step on augmented images: moved, noisy, or adversarial; Adam under a half cosine."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from cganjax import augment, pixels, rng
from cganjax.decoys.attacks import gradient, norms
from cganjax.models import Networks
from cganjax.training.algorithms.trainer import Trainer, first_classifier_state, mean_cross_entropy
from cganjax.training.config import COUNT, FRACTION, FROM_0, Config, field
from cganjax.training.state import ClassifierInfo, ClassifierState
from cganjax.types import Batch, Weights

GROWTH = 0.2  # fraction of the run over which the adversary grows to its full size


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentedClassification(Config):
    """A classifier by cross-entropy on augmented images, with Adam whose rate falls to 0 by a half cosine."""

    algorithm: str = "augmented_classification"
    classifier: Mapping[str, int] = field("settings of the classifier, which the network family defines", COUNT)
    weight_decay: float = field("fraction of the weights that an update removes, times the learning rate", FROM_0)
    epoch_steps: int = field("steps between evaluations on test data", COUNT)
    shift: float = field("largest shift of an image, in pixels; each image draws its own, uniformly", FROM_0)
    rotation: float = field("largest rotation of an image, in degrees; each image draws its own, uniformly", FROM_0)
    mirror: float = field("probability that an image is mirrored left to right", FRACTION, default=0.0)
    noise: float = field("largest amplitude of uniform noise on pixels in [0, 1]; each image draws its own", FRACTION)
    adversary_epsilon: float = field(
        "largest change of a pixel by an adversary that raises the classifier's loss; 0: no adversary", FRACTION
    )
    adversary_steps: int = field("gradient steps of the adversary", COUNT)


def augmented(
    config: AugmentedClassification,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    key: jax.Array,
    step: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    background: float | None = 0.0,
) -> jax.Array:
    """A training batch as the config changes it: mirrored, moved, noisy, and then against the adversary.

    Args:
      config: its `mirror`, `shift`, `rotation`, `noise` and adversary; a setting of 0 changes nothing.
      loss: (images [N, H, W, C], labels [N]) -> [N], the classifier's loss, which the adversary raises.
      key: of this step.
      step: int32 [], updates done so far; the adversary grows over the first fifth of the run.
      images: float [N, H, W, C] in [0, 1].
      labels: int [N].
      background: the value of pixels that move in from outside the image, as `ImageSpec.background` gives it.

    Returns:
      float [N, H, W, C] in [0, 1].

    References:
      Madry et al., "Towards deep learning models resistant to adversarial attacks" (arXiv 1706.06083), eq. 2.1: the
      inner maximum by projected gradient steps from a random start.
    """
    if config.mirror:
        images = augment.mirrored(rng.stream(key, "mirror"), images, config.mirror)
    if config.shift or config.rotation:
        images = augment.moved(rng.stream(key, "move"), images, config.shift, config.rotation, background)
    if config.noise:
        images = augment.noisy(rng.stream(key, "noise"), images, config.noise)
    if config.adversary_epsilon:
        # Against an adversary of full size from the start, a network keeps one answer for all images.
        grown = jnp.minimum(1.0, (step + 1).astype(jnp.float32) / (GROWTH * config.steps))
        epsilon = jnp.broadcast_to(config.adversary_epsilon * grown, (len(images),))
        bounds = norms.Bounds(images, epsilon, jnp.ones_like(images))
        steps = config.adversary_steps
        adversary = gradient.Descent(steps=steps, share=min(1.0, 2.5 / steps), random_start=True)
        keys = rng.items(rng.stream(key, "adversary"), len(images))

        def objective(images, labels):
            return -loss(images, labels)

        images, _ = gradient.descend(keys, objective, bounds, labels, "linf", adversary)
    return images


def trainer(config: AugmentedClassification, networks: Networks) -> Trainer:
    """Cross-entropy of a classifier of images in [0, 1], each changed as `augmented` says."""
    apply = networks.classifier.apply
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )

    def init(key: jax.Array) -> ClassifierState:
        return first_classifier_state(networks, optimizer, key)

    def step(key: jax.Array, state: ClassifierState, batch: Batch) -> tuple[ClassifierState, ClassifierInfo]:
        weights, labels = state.classifier, batch.labels

        def loss(images, labels):
            return optax.softmax_cross_entropy_with_integer_labels(apply(weights, images), labels)

        key_augment = jax.random.fold_in(rng.stream(key, "augment"), state.step)
        images = pixels.rest_to_unit(batch.images)
        images = augmented(config, loss, key_augment, state.step, images, labels, networks.spec.background)

        key_dropout = jax.random.fold_in(rng.stream(key, "dropout"), state.step)
        (value, (statistics, accuracy)), gradient = jax.value_and_grad(mean_cross_entropy, has_aux=True)(
            weights.params, networks.classifier, weights.statistics, key_dropout, images, labels
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, weights.params)
        params = optax.apply_updates(weights.params, updates)
        info = ClassifierInfo(value, accuracy, jnp.float32(schedule(state.step)))
        return ClassifierState(state.step + 1, Weights(params, statistics), optimizer_state), info

    return Trainer(init, step)
