"""The step of the published systems: D's outputs have targets, those of real images for real ones and 0 for generated.

G is driven to make images for which D's outputs are the targets of real ones.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cganjax import pixels, rng
from cganjax.models import Networks
from cganjax.training import losses
from cganjax.training.algorithms.trainer import Trainer, first_state, update
from cganjax.training.config import COUNT, GANConfig, field, one_of
from cganjax.training.state import GANInfo, GANState
from cganjax.types import Batch, Params, UserError, Weights

_LOSSES = {"bce": losses.sigmoid_cross_entropy, "mse": losses.sigmoid_squared_error}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetGAN(GANConfig):
    """D is driven to a target for real images and to zeros for generated ones, G to D's target for real images."""

    algorithm: str = "target"
    loss: str = field(
        "between D's outputs and their targets: bce (binary cross-entropy) or mse (squared error of the sigmoid)",
        one_of(_LOSSES),
    )
    target: str = field("D's target for a real image: one_hot (of its label) or ones", one_of(("one_hot", "ones")))
    optimizer: str = field("adam, or sgd without momentum", one_of(("adam", "sgd")))
    gen_steps: int = field("updates of G per step", COUNT)
    share_fake: bool = field("D's update and G's first one use the same generated batch; else each has its own latents")
    alternate: bool = field("D is updated on the real batch and then on the generated one; else once, on both")


# --- losses -----------------------------------------------------------------------------------------------------------

BatchLoss = Callable[[jax.Array, jax.Array], jax.Array]  # (logits [N, K], labels [N] or None) -> the batch's mean loss


def _to_targets(config: TargetGAN) -> BatchLoss:
    """How far D's outputs are from the targets of real images."""
    loss = _LOSSES[config.loss]

    def mean_loss(logits, labels):
        if config.target == "one_hot":
            targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        else:
            targets = jnp.ones_like(logits)
        return loss(logits, targets).mean()

    return mean_loss


def _to_zeros(config: TargetGAN) -> BatchLoss:
    """How far D's outputs are from 0, the target of generated images."""
    loss = _LOSSES[config.loss]
    return lambda logits, labels: loss(logits, jnp.zeros_like(logits)).mean()


# --- D's update -------------------------------------------------------------------------------------------------------

# (D's params, its statistics, key, images, labels) -> D's loss, and (its new statistics, its mean score)
LossOn = Callable[..., tuple[jax.Array, tuple[Params, jax.Array]]]


class Learnt(NamedTuple):
    """D after its update."""

    weights: Weights
    optimizer: Any
    loss: jax.Array  # []
    scores: tuple[jax.Array, jax.Array]  # mean of the sigmoid on real and on generated images, [] each


def _loss_on(networks: Networks, mean_loss: BatchLoss, stream: str) -> LossOn:
    """D's loss on one batch; `stream` names the key of its dropout."""

    def loss_on(params, statistics, key, images, labels):
        weights = Weights(params, statistics)
        logits, statistics = networks.discriminator.train(weights, rng.stream(key, stream), images, labels)
        return mean_loss(logits, labels), (statistics, jax.nn.sigmoid(logits).mean())

    return loss_on


def _learn_at_once(optimizer, on_real: LossOn, on_fake: LossOn, d: Weights, d_opt, key, real, fake) -> Learnt:
    """One update of D on both batches; its loss is the sum of both."""

    def both(params):
        real_loss, (statistics, score_real) = on_real(params, d.statistics, key, *real)
        fake_loss, (statistics, score_fake) = on_fake(params, statistics, key, *fake)
        return real_loss + fake_loss, (statistics, (score_real, score_fake))

    (loss, (statistics, scores)), gradient = jax.value_and_grad(both, has_aux=True)(d.params)
    params, d_opt = update(optimizer, gradient, d_opt, d.params)
    return Learnt(Weights(params, statistics), d_opt, loss, scores)


def _learn_in_turn(optimizer, on_real: LossOn, on_fake: LossOn, d: Weights, d_opt, key, real, fake) -> Learnt:
    """One update of D on the real batch, then one on the generated batch; its loss is the mean of both."""
    values, scores = [], []
    for loss_on, batch in ((on_real, real), (on_fake, fake)):
        (value, (statistics, score)), gradient = jax.value_and_grad(loss_on, has_aux=True)(
            d.params, d.statistics, key, *batch
        )
        params, d_opt = update(optimizer, gradient, d_opt, d.params)
        d = Weights(params, statistics)
        values.append(value)
        scores.append(score)
    return Learnt(d, d_opt, 0.5 * sum(values), tuple(scores))


# --- G's images -------------------------------------------------------------------------------------------------------


class Made(NamedTuple):
    """A generated batch."""

    images: jax.Array  # [N, H, W, C] in [-1, 1]
    pullback: Callable[[jax.Array], tuple[Params]]  # gradient in the images -> gradient in G's params
    statistics: Params  # of G, after this training pass


def _make(networks: Networks, g: Weights, key_dropout: jax.Array, z: jax.Array, labels: jax.Array | None) -> Made:
    """G's images of latents z [N, L] and labels [N]."""

    def images_of(params):
        return networks.generator.train(Weights(params, g.statistics), key_dropout, z, labels)

    return Made(*jax.vjp(images_of, g.params, has_aux=True))


# --- the algorithm ----------------------------------------------------------------------------------------------------


def trainer(config: TargetGAN, networks: Networks) -> Trainer:
    """D and G by targets, with the settings that `TargetGAN` names.

    BatchNorm sees real and generated images in separate batches, and its running averages move at each training pass,
    as in PyTorch. Scores in the info are means of the sigmoid over all outputs.

    References:
      Goodfellow et al., "Generative adversarial nets" (arXiv 1406.2661), algorithm 1 with k = 1.
    """
    _check(config, networks)
    conditional = networks.num_classes is not None
    optimizer = _optimizer(config)
    to_targets = _to_targets(config)
    on_real, on_fake = _loss_on(networks, to_targets, "real"), _loss_on(networks, _to_zeros(config), "fake")
    learn = _learn_in_turn if config.alternate else _learn_at_once

    def init(key: jax.Array) -> GANState:
        return first_state(networks, optimizer, key, ema=False)

    def step(key: jax.Array, state: GANState, batch: Batch) -> tuple[GANState, GANInfo]:
        real, n = pixels.rest_to_signed(batch.images), len(batch.images)
        labels = batch.labels if conditional else None
        g, g_opt = state.generator, state.generator_optimizer

        def key_of(name: str, turn: int = 0) -> jax.Array:
            return jax.random.fold_in(jax.random.fold_in(rng.stream(key, name), state.step), turn)

        def make(g: Weights, turn: int, labels: jax.Array | None) -> Made:
            z = jax.random.normal(key_of("z", turn), (n, networks.latent_size), jnp.float32)
            return _make(networks, g, key_of("dropout G", turn), z, labels)

        # D learns from the real batch and from a generated one.
        fake_labels = labels
        if conditional and not config.share_fake:
            fake_labels = jax.random.randint(key_of("labels"), (n,), 0, networks.num_classes)
        made = make(g, 0, fake_labels)
        g = Weights(g.params, made.statistics)
        d, d_opt, d_loss, scores = learn(
            optimizer,
            on_real,
            on_fake,
            state.discriminator,
            state.discriminator_optimizer,
            key_of("dropout D"),
            (real, labels),
            (made.images, fake_labels),
        )

        # Then G learns from the new D, once or several times.
        g_losses = []
        for turn in range(1, config.gen_steps + 1):
            if turn > 1 or not config.share_fake:
                made = make(g, turn, labels)

            def generator_loss(images, d=d, turn=turn):
                logits, statistics = networks.discriminator.train(d, key_of("dropout D", turn), images, labels)
                return to_targets(logits, labels), statistics

            (g_loss, d_statistics), gradient = jax.value_and_grad(generator_loss, has_aux=True)(made.images)
            g_params, g_opt = update(optimizer, made.pullback(gradient)[0], g_opt, g.params)
            g, d = Weights(g_params, made.statistics), Weights(d.params, d_statistics)
            g_losses.append(g_loss)

        info = GANInfo(sum(g_losses) / len(g_losses), d_loss, *scores)
        return GANState(state.step + 1, g, d, None, g_opt, d_opt), info

    return Trainer(init, step)


def _optimizer(config: TargetGAN) -> optax.GradientTransformation:
    if config.optimizer == "adam":
        return optax.adam(config.learning_rate, b1=config.beta1, b2=config.beta2)
    return optax.sgd(config.learning_rate)


def _check(config: TargetGAN, networks: Networks) -> None:
    if networks.scores != "sigmoid":
        raise UserError(
            f"algorithm target needs a discriminator of sigmoids, and family {config.family} has none: choose another "
            "family"
        )
    if config.target == "one_hot" and networks.num_classes is None:
        raise UserError(f"target is one_hot, but family {config.family} takes no labels: set target=ones")
