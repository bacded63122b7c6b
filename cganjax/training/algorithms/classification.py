"""A classifier's step: cross-entropy, SGD with Nesterov momentum, and a learning rate that falls on a plateau."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from cganjax import pixels, rng
from cganjax.models import Networks
from cganjax.training.algorithms.trainer import Trainer, first_classifier_state, mean_cross_entropy
from cganjax.training.config import BELOW_1, COUNT, FRACTION_ABOVE_0, FROM_0, Config, field
from cganjax.training.state import ClassifierInfo, ClassifierState
from cganjax.types import Batch, Weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(Config):
    """A classifier by cross-entropy and SGD with Nesterov momentum; its rate falls when the training loss stalls."""

    algorithm: str = "classification"
    classifier: Mapping[str, int] = field("settings of the classifier, which the network family defines", COUNT)
    momentum: float = field("Nesterov momentum", BELOW_1)
    weight_decay: float = field("multiple of the weights, biases included, that is added to the gradient", FROM_0)
    epoch_steps: int = field(
        "steps whose mean training loss the plateau schedule sees, and between evaluations on test data", COUNT
    )
    plateau_factor: float = field("what the learning rate is multiplied by on a plateau", FRACTION_ABOVE_0)
    plateau_patience: int = field(
        "a plateau is more than so many epochs in a row without a lower loss, as PyTorch counts", FROM_0
    )
    learning_rate_floor: float = field("the lowest learning rate", FROM_0)


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
    optimizer = optimizer_of(config)

    def init(key: jax.Array) -> ClassifierState:
        state = first_classifier_state(networks, optimizer, key)
        # The schedule's best loss starts at infinity, and a state must be finite to be saved.
        largest = jnp.finfo(jnp.float32).max
        finite = jax.tree.map(
            lambda x: jnp.minimum(x, largest.astype(x.dtype)) if x.dtype == jnp.float32 else x, state.optimizer
        )
        return state._replace(optimizer=finite)

    def step(key: jax.Array, state: ClassifierState, batch: Batch) -> tuple[ClassifierState, ClassifierInfo]:
        weights, images = state.classifier, pixels.rest_to_unit(batch.images)
        key_dropout = jax.random.fold_in(rng.stream(key, "dropout"), state.step)
        (value, (statistics, accuracy)), gradient = jax.value_and_grad(mean_cross_entropy, has_aux=True)(
            weights.params, networks.classifier, weights.statistics, key_dropout, images, batch.labels
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, weights.params, value=value)
        params = optax.apply_updates(weights.params, updates)
        info = ClassifierInfo(value, accuracy, config.learning_rate * optimizer_state[-1].scale)
        return ClassifierState(state.step + 1, Weights(params, statistics), optimizer_state), info

    return Trainer(init, step)
