"""The originals' step: D is driven to a target for real images and to zeros for generated ones, G to D's target."""

import jax
import jax.numpy as jnp
import optax

from cganjax import pixels, rng
from cganjax.models import Networks
from cganjax.training import losses
from cganjax.training.algorithms.trainer import Trainer, first_state, update
from cganjax.training.config import TargetGAN
from cganjax.training.state import GANInfo, GANState
from cganjax.types import Batch, UserError, Weights

_LOSSES = {"bce": losses.sigmoid_cross_entropy, "mse": losses.sigmoid_squared_error}


def trainer(config: TargetGAN, networks: Networks) -> Trainer:
    """D and G by targets, with the settings that `TargetGAN` names.

    BatchNorm sees real and generated images in batches of their own, and its running averages move at each training
    pass, as in PyTorch. Scores in the info are means of the sigmoid over all outputs.

    References:
      Goodfellow et al., "Generative adversarial nets" (arXiv 1406.2661), algorithm 1 with k = 1.
    """
    generate, judge, loss = networks.generator.train, networks.discriminator.train, _LOSSES[config.loss]
    conditional = networks.num_classes is not None
    if networks.scores != "sigmoid":
        raise UserError(f"algorithm target needs a discriminator of sigmoids, which {config.family} has not")
    if config.target == "one_hot" and not conditional:
        raise UserError(f"target is one_hot, but family {config.family} knows no labels: set target=ones")
    if config.optimizer == "adam":
        optimizer = optax.adam(config.learning_rate, b1=config.beta1, b2=config.beta2)
    else:
        optimizer = optax.sgd(config.learning_rate)

    def target(labels, logits):
        if config.target == "one_hot":
            return jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return jnp.ones_like(logits)

    def on_real(params, statistics, key, images, labels):
        """D's mean loss on real images; its new statistics and mean score."""
        logits, statistics = judge(Weights(params, statistics), rng.stream(key, "real"), images, labels)
        return loss(logits, target(labels, logits)).mean(), (statistics, jax.nn.sigmoid(logits).mean())

    def on_fake(params, statistics, key, images, labels):
        """The same on generated ones."""
        logits, statistics = judge(Weights(params, statistics), rng.stream(key, "fake"), images, labels)
        return loss(logits, jnp.zeros_like(logits)).mean(), (statistics, jax.nn.sigmoid(logits).mean())

    def learn_at_once(d, d_opt, key, real, fake):
        """One update of D on both batches: new weights and optimiser, the sum of both losses, both scores."""

        def both(params):
            real_loss, (statistics, score_real) = on_real(params, d.statistics, key, *real)
            fake_loss, (statistics, score_fake) = on_fake(params, statistics, key, *fake)
            return real_loss + fake_loss, (statistics, (score_real, score_fake))

        (value, (statistics, scores)), gradient = jax.value_and_grad(both, has_aux=True)(d.params)
        params, d_opt = update(optimizer, gradient, d_opt, d.params)
        return Weights(params, statistics), d_opt, value, scores

    def learn_in_turn(d, d_opt, key, real, fake):
        """One update of D on each batch; the mean of both losses."""
        values, scores = [], []
        for judged, batch in ((on_real, real), (on_fake, fake)):
            (value, (statistics, score)), gradient = jax.value_and_grad(judged, has_aux=True)(
                d.params, d.statistics, key, *batch
            )
            params, d_opt = update(optimizer, gradient, d_opt, d.params)
            d = Weights(params, statistics)
            values.append(value)
            scores.append(score)
        return d, d_opt, 0.5 * sum(values), scores

    learn = learn_in_turn if config.alternate else learn_at_once

    def init(key: jax.Array) -> GANState:
        return first_state(networks, optimizer, key, ema=False)

    def step(key: jax.Array, state: GANState, batch: Batch) -> tuple[GANState, GANInfo]:
        real, n = pixels.rest_to_signed(batch.images), len(batch.images)
        labels = batch.labels if conditional else None
        g, g_opt = state.generator, state.generator_optimizer

        def key_of(name: str, turn: int = 0) -> jax.Array:
            return jax.random.fold_in(jax.random.fold_in(rng.stream(key, name), state.step), turn)

        def make(g, turn, labels):
            """Images of fresh latents, the pullback to G's params, and G's new statistics."""
            z = jax.random.normal(key_of("z", turn), (n, networks.latent_size), jnp.float32)
            return jax.vjp(
                lambda params: generate(Weights(params, g.statistics), key_of("dropout G", turn), z, labels),
                g.params,
                has_aux=True,
            )

        fake_labels = labels
        if conditional and not config.share_fake:
            fake_labels = jax.random.randint(key_of("labels"), (n,), 0, networks.num_classes)
        fake, pullback, statistics = make(g, 0, fake_labels)
        g = Weights(g.params, statistics)
        d, d_opt, d_loss, scores = learn(
            state.discriminator, state.discriminator_optimizer, key_of("dropout D"), (real, labels), (fake, fake_labels)
        )

        g_losses = []
        for turn in range(1, config.gen_steps + 1):
            if turn > 1 or not config.share_fake:
                fake, pullback, statistics = make(g, turn, labels)

            def generator_loss(images, d=d, turn=turn):
                logits, statistics = judge(d, key_of("dropout D", turn), images, labels)
                return loss(logits, target(labels, logits)).mean(), statistics

            (g_loss, d_statistics), gradient = jax.value_and_grad(generator_loss, has_aux=True)(fake)
            g_params, g_opt = update(optimizer, pullback(gradient)[0], g_opt, g.params)
            g, d = Weights(g_params, statistics), Weights(d.params, d_statistics)
            g_losses.append(g_loss)

        info = GANInfo(sum(g_losses) / len(g_losses), d_loss, *scores)
        return GANState(state.step + 1, g, d, None, g_opt, d_opt), info

    return Trainer(init, step)
