"""A classifier's step: cross-entropy, SGD with Nesterov momentum, and a learning rate that falls on a plateau."""

import jax
import jax.numpy as jnp
import optax

from cganjax import pixels, rng
from cganjax.models import Networks
from cganjax.training.algorithms.trainer import Trainer
from cganjax.training.config import Classification
from cganjax.training.state import ClassifierInfo, ClassifierState
from cganjax.types import Batch, Weights


def optimizer_of(config: Classification) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.SGD(nesterov=True)` under `ReduceLROnPlateau`; `update` takes the loss of the step as `value`.

    Weight decay is added to the gradient and covers biases. PyTorch lowers the rate once *more than* `patience` epochs
    in a row are no better, optax once `patience` of them are: hence the one more. optax lowers it for the last step of
    the epoch already, PyTorch from the next step on.
    """
    floor = config.learning_rate_floor / config.learning_rate
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.sgd(config.learning_rate, momentum=config.momentum, nesterov=True),
        optax.contrib.reduce_on_plateau(
            factor=config.plateau_factor,
            patience=config.plateau_patience + 1,
            rtol=1e-4,  # PyTorch's default threshold
            accumulation_size=config.epoch_steps,
            min_scale=floor,
        ),
    )


def trainer(config: Classification, networks: Networks) -> Trainer:
    """Cross-entropy of a classifier of images in [0, 1]."""
    classify, optimizer = networks.classifier.train, optimizer_of(config)

    def init(key: jax.Array) -> ClassifierState:
        weights = networks.classifier.init(rng.stream(rng.stream(key, "init"), "classifier"))
        # The schedule's best loss begins infinite, and a state must be finite to be kept.
        largest = jnp.finfo(jnp.float32).max
        first = jax.tree.map(
            lambda x: jnp.minimum(x, largest.astype(x.dtype)) if x.dtype == jnp.float32 else x,
            optimizer.init(weights.params),
        )
        return ClassifierState(jnp.zeros((), jnp.int32), weights, first)

    def step(key: jax.Array, state: ClassifierState, batch: Batch) -> tuple[ClassifierState, ClassifierInfo]:
        images, labels = pixels.rest_to_unit(batch.images), batch.labels
        dropout = jax.random.fold_in(rng.stream(key, "dropout"), state.step)

        def mean_loss(params):
            logits, statistics = classify(Weights(params, state.classifier.statistics), dropout, images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), (statistics, jnp.mean(logits.argmax(axis=-1) == labels))

        (loss, (statistics, accuracy)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.classifier.params)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.classifier.params, value=loss)
        params = optax.apply_updates(state.classifier.params, updates)
        rate = config.learning_rate * optimizer_state[-1].scale
        state = ClassifierState(state.step + 1, Weights(params, statistics), optimizer_state)
        return state, ClassifierInfo(loss, accuracy, rate)

    return Trainer(init, step)
