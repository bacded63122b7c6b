"""The originals' step: D is driven to a target for real images and to zeros for generated ones, G to D's target."""

import jax
import jax.numpy as jnp
import optax

from cganjax import losses, pixels, rng
from cganjax.config import TargetGAN
from cganjax.models import Networks
from cganjax.state import GANInfo, GANState
from cganjax.steps.trainer import Trainer, first_state, update
from cganjax.types import Batch, Weights

_LOSSES = {"bce": losses.sigmoid_cross_entropy, "mse": losses.sigmoid_squared_error}


def trainer(config: TargetGAN, networks: Networks) -> Trainer:
    """D and G by targets, with the settings that `TargetGAN` names.

    BatchNorm sees real and generated images in batches of their own, and its running averages move at each training
    pass, as in PyTorch. Scores in the info are means of the sigmoid over all outputs.

    References:
      Goodfellow et al., "Generative adversarial nets" (arXiv 1406.2661), algorithm 1 with k = 1.
    """
    generate, judge, loss = networks.generator.train, networks.discriminator.train, _LOSSES[config.loss]
    if config.optimizer == "adam":
        optimizer = optax.adam(config.learning_rate, b1=config.beta1, b2=config.beta2)
    else:
        optimizer = optax.sgd(config.learning_rate)
    conditional = networks.num_classes is not None

    def target(labels, logits):
        if config.target == "one_hot":
            return jax.nn.one_hot(labels, logits.shape[-1])
        return jnp.ones_like(logits)

    def discriminator_losses(params, statistics, key, real, real_labels, fake, fake_labels):
        """Mean losses on real and on generated images, each; new statistics; mean scores."""
        on_real, statistics = judge(Weights(params, statistics), rng.stream(key, "real"), real, real_labels)
        on_fake, statistics = judge(Weights(params, statistics), rng.stream(key, "fake"), fake, fake_labels)
        real_loss = loss(on_real, target(real_labels, on_real)).mean()
        fake_loss = loss(on_fake, jnp.zeros_like(on_fake)).mean()
        return real_loss, fake_loss, (statistics, jax.nn.sigmoid(on_real).mean(), jax.nn.sigmoid(on_fake).mean())

    def update_discriminator(weights, optimizer_state, key, *images_and_labels):
        def both(params):
            real_loss, fake_loss, aux = discriminator_losses(params, weights.statistics, key, *images_and_labels)
            return real_loss + fake_loss, aux

        (value, (statistics, *scores)), gradient = jax.value_and_grad(both, has_aux=True)(weights.params)
        params, optimizer_state = update(optimizer, gradient, optimizer_state, weights.params)
        return Weights(params, statistics), optimizer_state, value, scores

    def update_discriminator_in_turn(weights, optimizer_state, key, *images_and_labels):
        values = []
        for turn in (0, 1):  # real, generated

            def one(params, turn=turn):
                *each, aux = discriminator_losses(params, weights.statistics, key, *images_and_labels)
                return each[turn], aux

            (value, (statistics, *now)), gradient = jax.value_and_grad(one, has_aux=True)(weights.params)
            params, optimizer_state = update(optimizer, gradient, optimizer_state, weights.params)
            weights = Weights(params, statistics)
            values.append((value, now[turn]))
        (real_loss, score_real), (fake_loss, score_fake) = values
        return weights, optimizer_state, 0.5 * (real_loss + fake_loss), (score_real, score_fake)

    def init(key: jax.Array) -> GANState:
        return first_state(networks, optimizer, key, ema=False)

    def step(key: jax.Array, state: GANState, batch: Batch) -> tuple[GANState, GANInfo]:
        real, n = pixels.rest_to_signed(batch.images), len(batch.images)
        labels = batch.labels if conditional else None

        def key_of(name: str, turn: int = 0) -> jax.Array:
            return jax.random.fold_in(jax.random.fold_in(rng.stream(key, name), state.step), turn)

        def z(turn: int) -> jax.Array:
            return jax.random.normal(key_of("z", turn), (n, networks.latent_size), jnp.float32)

        # D's generated batch. Where G's first update shares it, the pullback is kept for that.
        g = state.generator
        fake_labels = labels
        if conditional and not config.share_fake:
            fake_labels = jax.random.randint(key_of("labels"), (n,), 0, networks.num_classes)

        def made(params):
            return generate(Weights(params, g.statistics), key_of("dropout"), z(0), fake_labels)

        if config.share_fake:
            fake, pullback, statistics = jax.vjp(made, g.params, has_aux=True)
        else:
            fake, statistics = made(g.params)
        g = Weights(g.params, statistics)

        learn = update_discriminator_in_turn if config.alternate else update_discriminator
        d, d_opt, d_loss, scores = learn(
            state.discriminator, state.discriminator_optimizer, key_of("dropout", 1), real, labels, fake, fake_labels
        )

        g_opt, g_losses = state.generator_optimizer, []
        for turn in range(config.gen_steps):
            key_judge = key_of("dropout", 2 * turn + 3)

            def generator_loss(images, d=d, key_judge=key_judge):
                logits, statistics = judge(d, key_judge, images, labels)
                return loss(logits, target(labels, logits)).mean(), statistics

            if turn > 0 or not config.share_fake:

                def made(params, turn=turn, statistics=g.statistics):
                    return generate(Weights(params, statistics), key_of("dropout", 2 * turn + 2), z(turn + 1), labels)

                fake, pullback, statistics = jax.vjp(made, g.params, has_aux=True)
            (g_loss, d_statistics), gradient = jax.value_and_grad(generator_loss, has_aux=True)(fake)
            g_params, g_opt = update(optimizer, pullback(gradient)[0], g_opt, g.params)
            g, d = Weights(g_params, statistics), Weights(d.params, d_statistics)
            g_losses.append(g_loss)

        info = GANInfo(sum(g_losses) / len(g_losses), d_loss, *scores)
        return GANState(state.step + 1, g, d, None, g_opt, d_opt), info

    return Trainer(init, step)
