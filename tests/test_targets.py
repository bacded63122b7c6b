"""The originals' step and the classifier's: against plain re-derivations, and every setting of them takes effect."""

import dataclasses
import math

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from cganjax import models, recipes, rng
from cganjax.data import known
from cganjax.training import algorithms, losses
from cganjax.training import config as cfg
from cganjax.training.algorithms import classification
from cganjax.training.state import ClassifierInfo, GANInfo
from cganjax.types import Batch, UserError, Weights

KEY = rng.root(0)
# The original networks, at a batch that a test can afford.
SMALL = {name: cfg.override(recipes.load(name), ["batch_size=3"]) for name in ("label_score", "mlp_gan")}


def batch_of(config, n=None):
    shape = known.KNOWN[config.dataset].shape
    images = np.random.default_rng(0).integers(0, 256, (n or config.batch_size, *shape), np.uint8)
    return Batch(jnp.asarray(images), jnp.arange(len(images), dtype=jnp.int32) % 10)


def key_of(name, turn=0, step=0):
    return jax.random.fold_in(jax.random.fold_in(rng.stream(KEY, name), step), turn)


def bce(p, target):
    """As PyTorch's BCELoss on the sigmoid, without the trick that keeps logits stable."""
    return -jnp.mean(target * jnp.log(p) + (1 - target) * jnp.log(1 - p))


def close(got, want, atol=2e-5):
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=atol, rtol=1e-3), got, want)


@pytest.mark.slow
def test_label_score_step_matches_a_plain_re_derivation():
    config = SMALL["label_score"]
    networks = models.build(config, known.KNOWN[config.dataset])
    g, d = networks.generator.train, networks.discriminator
    trainer, batch = algorithms.build(config, networks), batch_of(config)
    state = trainer.init(KEY)
    after, info = jax.jit(trainer.step)(KEY, state, batch)

    x, y = np.asarray(batch.images, np.float32) / 127.5 - 1, np.eye(10, dtype=np.float32)[batch.labels]
    z = [jax.random.normal(key_of("z", turn), (3, 100)) for turn in (0, 1)]
    other = jax.random.randint(key_of("labels"), (3,), 0, 10)
    fake, statistics = g(state.generator, KEY, z[0], other)

    def d_loss(p):
        on_real, on_fake = (jax.nn.sigmoid(d.apply(Weights(p, {}), images)) for images in (x, fake))
        return bce(on_real, y) + bce(on_fake, jnp.zeros((3, 10)))

    adam = optax.adam(2e-4, b1=0.5, b2=0.999)
    value, gradient = jax.value_and_grad(d_loss)(state.discriminator.params)
    updates, _ = adam.update(gradient, adam.init(state.discriminator.params))
    d_params = optax.apply_updates(state.discriminator.params, updates)
    assert_allclose(info.loss_discriminator, value, rtol=1e-4)
    # The first moments are half the gradients: Adam's own update amplifies the rounding of the smallest.
    close(after.discriminator_optimizer[0].mu, jax.tree.map(lambda g: 0.5 * g, gradient))
    close(after.discriminator.params, d_params, atol=1e-4)

    def g_loss(p):
        images, _ = g(Weights(p, statistics), KEY, z[1], batch.labels)
        return bce(jax.nn.sigmoid(d.apply(after.discriminator, images)), y)

    value, gradient = jax.value_and_grad(g_loss)(state.generator.params)
    assert_allclose(info.loss_generator, value, rtol=1e-4)
    close(after.generator_optimizer[0].mu, jax.tree.map(lambda g: 0.5 * g, gradient))
    # Two training passes moved the running averages: PyTorch's momentum of 0.1, twice.
    _, twice = g(Weights(state.generator.params, statistics), KEY, z[1], batch.labels)
    close(after.generator.statistics, twice)
    assert after.weights()["generator"] is after.generator


@pytest.mark.slow
def test_mlp_gan_shares_one_generated_batch():
    """D's loss and G's are of the same images; G's is non-saturating, -log D(G(z))."""
    config = SMALL["mlp_gan"]
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer, batch = algorithms.build(config, networks), batch_of(config)
    state = trainer.init(KEY)
    after, info = jax.jit(trainer.step)(KEY, state, batch)
    fake, _ = networks.generator.train(state.generator, KEY, jax.random.normal(key_of("z"), (3, 100)))
    assert networks.num_classes is None and fake.shape == (3, 28, 28, 1)

    def outputs(weights, images, turn, name):
        logits, _ = networks.discriminator.train(weights, rng.stream(key_of("dropout D", turn), name), images)
        return jax.nn.sigmoid(logits)

    x = np.asarray(batch.images, np.float32) / 127.5 - 1
    on_real, on_fake = outputs(state.discriminator, x, 0, "real"), outputs(state.discriminator, fake, 0, "fake")
    assert_allclose(info.loss_discriminator, -jnp.log(on_real).mean() - jnp.log(1 - on_fake).mean(), rtol=1e-4)
    on_fake, _ = networks.discriminator.train(after.discriminator, key_of("dropout D", 1), fake)
    assert_allclose(info.loss_generator, -jnp.log(jax.nn.sigmoid(on_fake)).mean(), rtol=1e-4)


def test_pattern_1010_updates_d_in_turn_by_hand():
    """Three updates of plain SGD on squared errors: D on real, D on generated, G through the new D."""
    config = recipes.load("pattern_1010")
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer = algorithms.build(config, networks)
    state = trainer.init(KEY)
    real = jnp.array([0.9, 0.1, 0.8, 0.0]).reshape(1, 1, 4, 1)
    after, info = trainer.step(KEY, state, Batch(real, jnp.zeros(1, jnp.int32)))
    d, rate = networks.discriminator.apply, 0.01

    def answer(params, images):
        return jax.nn.sigmoid(d(Weights(params, {}), images))[0, 0]

    fake = networks.generator.apply(state.generator, jnp.zeros((1, 1)))
    p, values = state.discriminator.params, []
    for images, goal in ((2 * real - 1, 1.0), (fake, 0.0)):
        value, gradient = jax.value_and_grad(lambda p, x=images, t=goal: (answer(p, x) - t) ** 2)(p)
        p = jax.tree.map(lambda w, g: w - rate * g, p, gradient)
        values.append(value)
    close(after.discriminator.params, p, atol=1e-6)
    assert_allclose(info.loss_discriminator, sum(values) / 2, rtol=1e-5)

    def g_loss(q):
        return (answer(p, networks.generator.apply(Weights(q, {}), jnp.zeros((1, 1)))) - 1) ** 2

    value, gradient = jax.value_and_grad(g_loss)(state.generator.params)
    close(after.generator.params, jax.tree.map(lambda w, g: w - rate * g, state.generator.params, gradient), atol=1e-6)
    assert_allclose(info.loss_generator, value, rtol=1e-5)


def test_gen_steps_updates_g_so_often():
    config = cfg.override(SMALL["label_score"], ["gen_steps=3"])
    trainer = algorithms.build(config, models.build(config, known.KNOWN[config.dataset]))
    state = trainer.init(KEY)
    after, info = jax.jit(trainer.step)(KEY, state, batch_of(config))
    assert int(after.generator_optimizer[0].count) == 3
    assert int(after.discriminator_optimizer[0].count) == 1
    assert int(after.step) == 1 and np.isfinite(info.loss_generator)


def after_two_steps(config, batch):
    trainer = algorithms.build(config, models.build(config, known.KNOWN[config.dataset]))
    state, step = trainer.init(KEY), jax.jit(trainer.step)
    for _ in range(2):
        state, info = step(KEY, state, batch)
    return jax.flatten_util.ravel_pytree((state.discriminator, state.generator, tuple(info)))[0]


@pytest.mark.parametrize(
    "base, setting",
    [
        ("alternate=true", "alternate=false"),
        ("alternate=true", "loss=bce"),
        ("alternate=true", "optimizer=adam"),
        ("alternate=true", "learning_rate=0.1"),
        ("alternate=true", "gen_steps=2"),
        ("optimizer=adam", "beta1=0.5"),
        ("optimizer=adam", "beta2=0.5"),
    ],
)
def test_every_setting_changes_the_outcome(base, setting):
    config = cfg.override(recipes.load("pattern_1010"), [base])
    batch = Batch(jnp.full((1, 1, 4, 1), 0.7), jnp.zeros(1, jnp.int32))
    changed = after_two_steps(cfg.override(config, [setting]), batch)
    assert np.abs(changed - after_two_steps(config, batch)).max() > 0


@pytest.mark.parametrize("setting", ["share_fake=true", "target=ones"])
def test_settings_of_a_conditional_gan_change_the_outcome(setting):
    config = cfg.override(SMALL["label_score"], ["batch_size=2"])
    batch = batch_of(config)
    assert np.abs(after_two_steps(cfg.override(config, [setting]), batch) - after_two_steps(config, batch)).max() > 0


@pytest.mark.slow
def test_label_maps_batch_norm_and_labels():
    """One generated batch, of the real labels; D's running averages move at real, generated and G's images in turn."""
    config = cfg.override(recipes.load("label_map"), ["batch_size=2"])
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer, batch = algorithms.build(config, networks), batch_of(config)
    state = trainer.init(KEY)
    after, _ = jax.jit(trainer.step)(KEY, state, batch)
    x, z = np.asarray(batch.images, np.float32) / 127.5 - 1, jax.random.normal(key_of("z"), (2, 100))
    fake, statistics = networks.generator.train(state.generator, KEY, z, batch.labels)
    close(after.generator.statistics, statistics)
    # Dropout comes after BatchNorm, so its key is of no matter to the statistics.
    before, learnt, statistics = state.discriminator.params, after.discriminator.params, state.discriminator.statistics
    for params, images in ((before, x), (before, fake), (learnt, fake)):
        _, statistics = networks.discriminator.train(Weights(params, statistics), KEY, images, batch.labels)
    close(after.discriminator.statistics, statistics)


@pytest.mark.parametrize("alternate", ["false", "true"])
def test_d_passes_over_real_generated_and_gs_images_once_each(alternate):
    config = cfg.override(recipes.load("label_map"), ["batch_size=2", f"alternate={alternate}"])
    networks, passes = models.build(config, known.KNOWN[config.dataset]), []

    def counted(*args):
        passes.append(args)
        return networks.discriminator.train(*args)

    spied = networks._replace(discriminator=networks.discriminator._replace(train=counted))
    trainer = algorithms.build(config, spied)
    jax.eval_shape(trainer.step, KEY, jax.eval_shape(trainer.init, KEY), batch_of(config))
    assert len(passes) == 3


def test_infos_name_the_metrics():
    assert GANInfo._fields == ("loss_generator", "loss_discriminator", "score_real", "score_fake")
    assert ClassifierInfo._fields == ("loss", "accuracy", "learning_rate")


def test_target_refuses_a_discriminator_without_sigmoids():
    g, d = recipes.load("mnist").generator, recipes.load("mnist").discriminator
    config = dataclasses.replace(recipes.load("label_score"), family="depth_to_space", generator=g, discriminator=d)
    with pytest.raises(UserError, match="needs a discriminator of sigmoids, and family depth_to_space has none"):
        algorithms.build(config, models.build(config, known.KNOWN[config.dataset]))


def test_relativistic_refuses_networks_with_batch_norm():
    config = dataclasses.replace(
        recipes.load("mnist"), family="label_score", generator={"latent_size": 4}, discriminator={}
    )
    with pytest.raises(UserError, match="needs networks without BatchNorm"):
        algorithms.build(config, models.build(config, known.KNOWN[config.dataset]))


# --- the classifier ---------------------------------------------------------------------------------------------------


LENET5 = recipes.load("lenet5")


@pytest.mark.slow
def test_sgd_by_hand():
    """PyTorch's rule: g += decay w; v = m v + g; w -= rate (g + m v), of biases too."""
    config = cfg.override(LENET5, ["batch_size=4"])
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer, batch = algorithms.build(config, networks), batch_of(config)
    state, p = trainer.init(KEY), trainer.init(KEY).classifier.params
    v = jax.tree.map(jnp.zeros_like, p)
    x, y = np.asarray(batch.images, np.float32) / 255, np.eye(10, dtype=np.float32)[batch.labels]
    step = jax.jit(trainer.step)

    def loss(p):
        return -jnp.mean(jnp.sum(y * jnp.log(jax.nn.softmax(networks.classifier.apply(Weights(p, {}), x))), axis=1))

    for _ in range(3):
        value, g = jax.value_and_grad(loss)(p)
        g = jax.tree.map(lambda g, w: g + 5e-4 * w, g, p)
        v = jax.tree.map(lambda v, g: 0.9 * v + g, v, g)
        p = jax.tree.map(lambda w, g, v: w - 1e-2 * (g + 0.9 * v), p, g, v)
        state, info = step(KEY, state, batch)
        assert_allclose(info.loss, value, rtol=1e-4)
        close(state.classifier.params, p, atol=1e-6)
    assert_allclose(info.learning_rate, 1e-2)


def made_up_losses():
    """200 epochs whose training loss improves up to epoch 156, and then at 165, 172, 182 and 191 alone."""
    best, values = 1.0, []
    for epoch in range(1, 201):
        improves = epoch <= 156 or epoch in (165, 172, 182, 191)
        best *= 0.99 if improves else 1.0
        values.append(best if improves else best * 1.5)
    return values


PUBLISHED_REDUCTIONS = [162, 171, 178, 188, 197]


def reductions_of_optax(losses_by_epoch, **settings):
    config = dataclasses.replace(LENET5, epoch_steps=3, **settings)
    optimizer = classification.optimizer_of(config)
    params = {"w": jnp.zeros(1)}
    state = optimizer.init(params)

    @jax.jit
    def step(state, value):
        return optimizer.update({"w": jnp.ones(1)}, state, params, value=value)[1]

    found, scale = [], 1.0
    for epoch, loss in enumerate(losses_by_epoch, 1):
        for offset in (-0.3, 0.0, 0.3):  # the schedule sees the epoch's mean alone
            state = step(state, jnp.float32(loss * (1 + offset)))
        if float(state[-1].scale) != scale:
            found.append(epoch)
            scale = float(state[-1].scale)
    return found, scale


def test_the_plateau_schedule_reduces_at_the_published_epochs():
    found, scale = reductions_of_optax(made_up_losses())
    assert found == PUBLISHED_REDUCTIONS
    assert scale == 0.5**5
    # One apart, as optax counts: PyTorch's own number reduces an epoch early.
    assert reductions_of_optax(made_up_losses(), plateau_patience=4)[0][0] == 161


def test_the_plateau_schedule_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    values = made_up_losses()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-2)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5, min_lr=1e-6)
    found = []
    for epoch, value in enumerate(values, 1):
        before = optimizer.param_groups[0]["lr"]
        schedule.step(value)
        if optimizer.param_groups[0]["lr"] != before:
            found.append(epoch)
    assert found == PUBLISHED_REDUCTIONS == reductions_of_optax(values)[0]


def test_the_rate_has_a_floor():
    _, scale = reductions_of_optax([1.0] * 120)
    assert math.isclose(LENET5.learning_rate * scale, LENET5.learning_rate_floor, rel_tol=1e-5)


# --- the theory -------------------------------------------------------------------------------------------------------


def test_a_discriminator_trained_to_convergence_is_p_over_p_plus_q():
    """A network on two known densities, with the very loss that trains D; and V there is as the theory says."""
    x = np.linspace(-4, 4, 41)

    def density(mean, width):
        p = np.exp(-0.5 * ((x - mean) / width) ** 2)
        return jnp.asarray(p / p.sum(), jnp.float32)

    p, q = density(-0.5, 1.0), density(0.7, 1.3)
    places = jnp.asarray(x[:, None], jnp.float32)
    keys = jax.random.split(KEY, 2)
    params = {
        "w1": jax.random.normal(keys[0], (1, 32)),
        "b1": jnp.zeros((1, 32)),
        "w2": 0.2 * jax.random.normal(keys[1], (32, 1)),
        "b2": jnp.zeros((1, 1)),
    }
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, 5000))

    def discriminator(params):
        return jnp.tanh(places @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]  # logits [41, 1]

    @jax.jit
    def train(params):
        def loss(params):  # the expectation over both densities, where a training has batches
            logits = discriminator(params)
            on_real = losses.sigmoid_cross_entropy(logits, jnp.ones((41, 1)))
            on_fake = losses.sigmoid_cross_entropy(logits, jnp.zeros((41, 1)))
            return jnp.sum(p * on_real + q * on_fake)

        def update(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(update, (params, optimizer.init(params)), length=5000)[0][0]

    trained = jax.nn.sigmoid(discriminator(train(params)))[:, 0]
    best = losses.optimal_discriminator(p, q)
    seen = np.asarray(p + q > 0.005)  # where data are next to never, D is next to never corrected
    assert seen.sum() > 30
    assert_allclose(trained[seen], best[seen], atol=0.02)
    assert float(best[seen].max() - best[seen].min()) > 0.5, "there is something to learn"
    # V(D*) = -log 4 + 2 JSD(p, q), by the divergence's own definition.
    m = (p + q) / 2
    jsd = 0.5 * float(jnp.sum(p * jnp.log(p / m)) + jnp.sum(q * jnp.log(q / m)))
    assert_allclose(losses.gan_value(best, p, q), -math.log(4) + 2 * jsd, atol=1e-5)
    assert_allclose(losses.gan_value(trained, p, q), -math.log(4) + 2 * jsd, atol=1e-3)
    assert losses.gan_value(jnp.full(41, 0.5), p, q) < losses.gan_value(trained, p, q)


def test_at_the_optimum_d_is_one_half_and_v_is_minus_log_4():
    p = jnp.array([0.1, 0.2, 0.3, 0.4])
    best = losses.optimal_discriminator(p, p)
    assert_allclose(best, 0.5)
    assert_allclose(losses.gan_value(best, p, p), -math.log(4), rtol=1e-6)
    for other in (0.4, 0.6):
        assert losses.gan_value(jnp.full(4, other), p, p) < -math.log(4)
