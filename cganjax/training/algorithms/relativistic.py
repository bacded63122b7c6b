"""The flagship's step: D's update, then G's, by relativistic pairing with gradient penalties and an averaged G."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cganjax import pixels, rng, views
from cganjax.models import Networks
from cganjax.training import losses
from cganjax.training.algorithms.trainer import Trainer, first_state, update
from cganjax.training.config import (
    ABOVE_0,
    BELOW_1,
    FRACTION,
    FRACTION_ABOVE_0,
    FROM_0,
    GANConfig,
    Rule,
    field,
    one_of,
)
from cganjax.training.state import GANState, PenalisedGANInfo
from cganjax.types import Batch, UserError, Weights

GROWTH = 0.2  # fraction of the run over which `augment` grows to its full size


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativisticGAN(GANConfig):
    """Relativistic pairing with R1 and R2 penalties and an averaged generator: the flagship's algorithm."""

    algorithm: str = "relativistic"
    decay_from: float = field(
        "fraction of the run after which the learning rate falls, linearly to 0 at its end", FRACTION
    )
    gamma_start: float = field("weight of R1 and R2 at the start (each enters with gamma / 2)", FROM_0)
    gamma_end: float = field("weight of R1 and R2 at the end, to which it falls by a half cosine", FROM_0)
    gamma_until: float = field("fraction of the run after which the weight is gamma_end", FRACTION_ABOVE_0)
    penalty_fraction: float = field(
        "fraction of each batch on which R1 and R2 are computed: 1 over a divisor of the batch size", FRACTION_ABOVE_0
    )
    mismatch_fraction: float = field(
        "largest fraction of D's generated images that are replaced by real ones of another class: 0, or 1 over a "
        "divisor of the batch size",
        Rule(lambda v: 0 <= v <= 0.5, "within 0 and 0.5"),
        default=0.0,
    )
    augment: float = field(
        "largest probability with which each change of `cganjax.views` is applied to an image that D sees, real or "
        "generated, reached after a fifth of the run: at most 0.8, above which samples inherit changes; 0: none",
        Rule(lambda v: 0 <= v <= 0.8, "within 0 and 0.8"),
        default=0.0,
    )
    latent_std: float = field(
        "standard deviation of z in training; samples use 1, so that a value below 1 widens them", ABOVE_0, default=1.0
    )
    ema_decay: float = field("decay per step of the generator's moving average; it starts lower", BELOW_1)
    precision: str = field(
        "of the networks' products and activations: float32 or bfloat16; parameters stay float32",
        one_of(("float32", "bfloat16")),
        default="float32",
    )
    discriminator_first: int = field(
        "steps at the start in which D learns alone and G stays as it is, for a trained G without its D",
        FROM_0,
        default=0,
    )


def gamma_schedule(config: RelativisticGAN) -> optax.Schedule:
    """The weight of the penalties at a step: a half cosine from `gamma_start` to `gamma_end`, then constant."""

    def gamma(step: jax.Array) -> jax.Array:
        done = jnp.clip(jnp.float32(step) / (config.gamma_until * config.steps), 0.0, 1.0)
        return config.gamma_end + (config.gamma_start - config.gamma_end) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))

    return gamma


def learning_rate_schedule(config: RelativisticGAN) -> optax.Schedule:
    """Constant up to the fraction `decay_from` of the run, then linear to 0 at its end."""
    begin = round(config.decay_from * config.steps)
    return optax.linear_schedule(config.learning_rate, 0.0, max(config.steps - begin, 1), begin)


def _generator_optimizer(config: RelativisticGAN) -> optax.GradientTransformation:
    """G's own, if D learns alone first: it counts the updates of G, and the schedule refers to steps."""
    schedule = learning_rate_schedule(config)
    return optax.adam(lambda count: schedule(count + config.discriminator_first), b1=config.beta1, b2=config.beta2)


def _every(config: RelativisticGAN, name: str) -> int:
    """k, for a fraction of the batch that is 1/k. Raises UserError if k does not divide the batch."""
    fraction, size = getattr(config, name), config.batch_size
    every = round(1 / fraction)
    if size % every or abs(fraction * every - 1) > 0.01:
        small = [k for k in range(1, math.isqrt(size) + 1) if size % k == 0]
        fits = min([*small, *(size // k for k in reversed(small))], key=lambda k: abs(k - every))
        raise UserError(
            f"{name} is {fraction}: with a batch_size of {size} give 1 over a divisor of it, as {1 / fits:.3g}"
        )
    return every


def mismatched(real: jax.Array, fake: jax.Array, labels: jax.Array, every: int, group: int = 1) -> jax.Array:
    """The images that D learns to score as generated: one in every `every` of `fake` is replaced by a real one.

    The real one is its neighbour in the batch, if that is of another class; otherwise the generated image stays. So D
    learns from data that a real image under a wrong label is wrong. Without such pairs it has to learn this from G's
    mistakes.

    This needs no further pass of a network. With a fraction s of mismatched pairs, whose density is q(x, y), D's two
    sides are equal where p = (1 - s) p_G + s q: in theory G generates an image less often for a label only in so far as
    other labels have it too. In practice a large fraction also narrows what G generates within a class.

    Args:
      real: float [N, H, W, C] in [-1, 1], of `labels`.
      fake: float [N, H, W, C] in [-1, 1], generated for `labels`.
      labels: int [N].
      every: one in so many images may be replaced; at least 1.
      group: the first of so many images has penalties. The replaced ones lie on a diagonal of the groups, so that R2
        sees no larger fraction of them than the pairing does.

    Returns:
      float [N, H, W, C] in [-1, 1], for D to score under `labels`.

    References:
      Reed et al., "Generative adversarial text to image synthesis" (arXiv 1605.05396), section 4.2 and algorithm 1.
    """
    place = jnp.arange(len(labels))
    other = ((place // group + place % group) % every == 0) & (jnp.roll(labels, 1) != labels)
    return jnp.where(other[:, None, None, None], jnp.roll(real, 1, axis=0), fake)


class _Players(NamedTuple):
    """G and D as functions of their parameters."""

    generate: Callable[..., jax.Array]  # (params, z [N, L], labels [N]) -> images [N, H, W, C]
    score: Callable[..., jax.Array]  # (params, images, labels) -> [N]
    scaled_score: Callable[..., jax.Array]  # (params, images, unit, labels) -> [N], see `Network.scaled`


def _players(config: RelativisticGAN, networks: Networks) -> _Players:
    """The networks, which compute in the precision of what enters them; what they return is float32."""
    low = functools.partial(jax.tree.map, lambda x: x.astype(config.precision))

    def generate(params, z, labels):
        return networks.generator.apply(Weights(low(params), {}), low(z), labels).astype(jnp.float32)

    def score(params, images, labels):
        return networks.discriminator.apply(Weights(low(params), {}), low(images), labels).astype(jnp.float32)

    def scaled_score(params, images, unit, labels):
        weights = Weights(low(params), {})
        return networks.discriminator.scaled(weights, low(unit), low(images), labels).astype(jnp.float32)

    return _Players(generate, score, scaled_score)


def _pairing(scores: jax.Array) -> jax.Array:
    return losses.relativistic_discriminator(scores[..., 0], scores[..., 1]).mean()


def _discriminator_gradient(players: _Players, group: int, d_params, real, fake, labels, weight):
    """D's gradient on pairs of a real and a generated image [N, H, W, C], and its loss, mean scores, R1 and R2.

    The first of every `group` pairs has penalties, of that weight.
    """
    # The batch stays the leading axis, also if only every few pairs have penalties, so that it can be split among
    # several devices.
    shape = (-1, group, 2)
    pairs = jnp.stack([real, fake], axis=1).reshape(*shape, *real.shape[1:])  # [N / group, group, 2, H, W, C]
    pair_labels = jnp.stack([labels, labels], axis=1).reshape(shape)

    def part(members):
        return pairs[:, members].reshape(-1, *real.shape[1:]), pair_labels[:, members].reshape(-1)

    head, head_labels = part(slice(0, 1))
    scores, penalties, pullback = losses.vjp_with_gradient_penalty(
        lambda params, images, unit: players.scaled_score(params, images, unit, head_labels), d_params, head
    )
    scores, (r1, r2) = scores.reshape(-1, 1, 2), penalties.reshape(-1, 2).mean(axis=0)
    if group > 1:
        tail, tail_labels = part(slice(1, None))
        tail_scores, tail_pullback = jax.vjp(lambda params: players.score(params, tail, tail_labels), d_params)
        scores = jnp.concatenate([scores, tail_scores.reshape(-1, group - 1, 2)], axis=1)  # [N / group, group, 2]
    loss, cotangents = jax.value_and_grad(_pairing)(scores)
    weights = jnp.full(len(head), weight * 2 / len(head))
    gradient = pullback(cotangents[:, :1].reshape(-1), weights)
    if group > 1:
        gradient = jax.tree.map(jnp.add, gradient, *tail_pullback(cotangents[:, 1:].reshape(-1)))
    return gradient, (loss, scores.mean(axis=(0, 1)), r1, r2)


def trainer(config: RelativisticGAN, networks: Networks) -> Trainer:
    """Relativistic pairing with R1 and R2 penalties, and a moving average of G.

    Real image i is paired with a generated image of the same label. The batch is generated once: D learns from it, then
    G learns from the new D's scores of it, through the pullback that was kept. With `augment`, all images are changed
    before D sees them, the generated ones within that pullback. In the first `discriminator_first` steps G, its average
    and its optimizer stay as they are.

    References:
      R3GAN (arXiv 2501.05441), eq. 2 and 3; EMA of G: Yaz et al. (arXiv 1806.04498).
    """
    _check(config, networks)
    players = _players(config, networks)
    optimizer = optax.adam(learning_rate_schedule(config), b1=config.beta1, b2=config.beta2)
    gamma = gamma_schedule(config)
    group = _every(config, "penalty_fraction")  # the first of so many pairs has penalties
    mismatch = _every(config, "mismatch_fraction") if config.mismatch_fraction else None
    first = config.discriminator_first
    g_optimizer = _generator_optimizer(config) if first else optimizer

    def init(key: jax.Array) -> GANState:
        return first_state(networks, optimizer, key, ema=True)

    def views_of_step(key: jax.Array, step: jax.Array):
        """What D sees of real and of generated images: independent draws of the same changes."""
        if not config.augment:
            return lambda images: images, lambda images: images
        key_real, key_fake = jax.random.split(jax.random.fold_in(rng.stream(key, "augment"), step))
        # At first D has memorised no image, and G learns faster if D sees images as they are.
        probability = config.augment * jnp.minimum(1.0, (step + 1).astype(jnp.float32) / (GROWTH * config.steps))
        return tuple(lambda images, k=k: views.changed(k, images, probability) for k in (key_real, key_fake))

    def step(key: jax.Array, state: GANState, batch: Batch) -> tuple[GANState, PenalisedGANInfo]:
        real, labels = pixels.rest_to_signed(batch.images), batch.labels
        key_z = jax.random.fold_in(rng.stream(key, "z"), state.step)
        z = config.latent_std * jax.random.normal(key_z, (len(labels), networks.latent_size), jnp.float32)
        view_real, view_fake = views_of_step(key, state.step)
        real = view_real(real)
        fake, pullback = jax.vjp(lambda p: view_fake(players.generate(p, z, labels)), state.generator.params)

        negative = mismatched(real, fake, labels, mismatch, group) if mismatch else fake
        d_gradient, (d_loss, means, r1, r2) = _discriminator_gradient(
            players, group, state.discriminator.params, real, negative, labels, gamma(state.step)
        )
        d_params, d_opt = update(optimizer, d_gradient, state.discriminator_optimizer, state.discriminator.params)

        score_real = players.score(d_params, real, labels)
        g_loss, fake_gradient = jax.value_and_grad(
            lambda images: losses.relativistic_generator(score_real, players.score(d_params, images, labels)).mean()
        )(fake)
        (g_gradient,) = pullback(fake_gradient)
        g_params, g_opt = update(g_optimizer, g_gradient, state.generator_optimizer, state.generator.params)

        # The average is short at first; else it would remember the random start for 1 / (1 - decay) steps.
        t = (jnp.maximum(state.step - first, 0) if first else state.step).astype(jnp.float32)
        decay = jnp.minimum(config.ema_decay, (1.0 + t) / (10.0 + t))
        ema = jax.tree.map(lambda old, new: decay * old + (1.0 - decay) * new, state.generator_ema, g_params)
        if first:
            before = (state.generator.params, state.generator_optimizer, state.generator_ema)
            g_params, g_opt, ema = jax.tree.map(
                lambda old, new: jnp.where(state.step < first, old, new), before, (g_params, g_opt, ema)
            )
        info = PenalisedGANInfo(g_loss, d_loss, means[0], means[1], r1, r2)
        return GANState(state.step + 1, Weights(g_params, {}), Weights(d_params, {}), ema, g_opt, d_opt), info

    return Trainer(init, step)


def _check(config: RelativisticGAN, networks: Networks) -> None:
    if config.discriminator_first >= config.steps:
        raise UserError(
            f"discriminator_first is {config.discriminator_first} of {config.steps} steps, so G would never learn: "
            "give a smaller number, or more steps"
        )
    for network in (networks.generator, networks.discriminator):
        if jax.eval_shape(network.init, jax.random.key(0)).statistics:
            raise UserError(
                f"algorithm relativistic needs networks without BatchNorm, and family {config.family} has it: choose "
                "another family"
            )
    if networks.discriminator.scaled is None:
        raise UserError(
            f"algorithm relativistic needs a piecewise linear D, and that of family {config.family} is not: choose "
            "another family"
        )
