"""The training step: compiled once, right against a plain re-derivation, and every setting of it takes effect."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from cganjax import rng
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.training.algorithms import relativistic
from cganjax.training.state import PenalisedGANInfo
from cganjax.types import Batch, UserError, Weights

KEY = rng.root(0)


def some_batch(digits, n=8, start=0):
    rows = slice(start, start + n)
    return Batch(jnp.asarray(digits.images[rows]), jnp.asarray(digits.labels[rows]))


def test_compiles_once_and_counts_up(tiny, digits):
    config, networks = tiny
    trainer, traces = algorithms.build(config, networks), 0

    def counted(*args):
        nonlocal traces
        traces += 1
        return trainer.step(*args)

    jitted, state = jax.jit(counted, donate_argnums=1), jax.jit(trainer.init)(KEY)
    for i in range(4):
        state, info = jitted(KEY, state, some_batch(digits, start=8 * i))
    assert traces == 1
    assert int(state.step) == 4
    assert all(np.isfinite(value) and np.shape(value) == () for value in info)


def test_ema_of_the_first_steps_by_hand(tiny, digits):
    config, networks = tiny
    config = cfg.override(config, ["ema_decay=0.15"])
    trainer = algorithms.build(config, networks)
    step, s0 = jax.jit(trainer.step), jax.jit(trainer.init)(KEY)
    s1, _ = step(KEY, s0, some_batch(digits))
    s2, _ = step(KEY, s1, some_batch(digits, start=8))
    w = [np.asarray(s.generator.params["Dense_0"]["kernel"], np.float64) for s in (s0, s1, s2)]
    # decay is min(0.15, (1 + t) / (10 + t)): 1/10 after step 0, then 2/11 is above 0.15
    after_1 = 0.1 * w[0] + 0.9 * w[1]
    after_2 = 0.15 * after_1 + 0.85 * w[2]
    assert_allclose(s1.generator_ema["Dense_0"]["kernel"], after_1, atol=1e-7)
    assert_allclose(s2.generator_ema["Dense_0"]["kernel"], after_2, atol=1e-7)
    assert np.abs(w[2] - after_2).max() > 1e-5


@pytest.mark.parametrize(
    ("fraction", "mismatch"),
    [pytest.param(1.0, 0.5, marks=pytest.mark.slow), pytest.param(0.5, 0.5, marks=pytest.mark.slow), (0.25, 0.0)],
)
def test_one_step_matches_a_plain_re_derivation(tiny, digits, fraction, mismatch):
    """Adam on gradients of the losses as the papers write them: no shared forward pass, an image at a time."""
    config, networks = tiny
    shares = [f"penalty_fraction={fraction}", f"mismatch_fraction={mismatch}"]
    config = cfg.override(config, [*shares, "latent_std=0.5"])
    trainer, batch = algorithms.build(config, networks), some_batch(digits)
    state = trainer.init(KEY)
    after, info = jax.jit(trainer.step)(KEY, state, batch)

    x = np.asarray(batch.images, np.float32) / 127.5 - 1
    y = batch.labels
    z = jax.random.normal(jax.random.fold_in(rng.stream(KEY, "z"), 0), (8, config.generator["latent_size"])) / 2
    g_params, d_params = state.generator.params, state.discriminator.params

    def d(params, *inputs):
        return networks.discriminator.apply(Weights(params, {}), *inputs)

    fake = networks.generator.apply(state.generator, z, y)
    negative = list(fake)
    taken = {0.0: (), 1.0: (0, 2, 4, 6), 0.5: (0, 3, 4, 7)}[fraction if mismatch else 0.0]
    others = [i for i in taken if y[i - 1] != y[i]]
    for i in others:
        negative[i] = x[i - 1]
    negative = jnp.stack(negative)
    assert bool(others) == bool(mismatch)

    def score_one(p, image, label):
        return d(p, image[None], label[None])[0]

    def penalty(p, images):
        many = round(8 * fraction)
        # of so many images the first
        gradients = [jax.grad(score_one, argnums=1)(p, images[i], y[i]) for i in range(0, 8, 8 // many)]
        return sum(jnp.sum(g**2) for g in gradients) / many

    def d_loss(p):
        pairing = jnp.mean(-jnp.log(jax.nn.sigmoid(d(p, x, y) - d(p, negative, y))))
        return pairing + config.gamma_start / 2 * (penalty(p, x) + penalty(p, negative))

    adam = optax.adam(config.learning_rate, b1=config.beta1, b2=config.beta2)
    gradient = jax.grad(d_loss)(d_params)
    updates, _ = adam.update(gradient, adam.init(d_params))
    d_after = optax.apply_updates(d_params, updates)

    def g_loss(p):
        made = networks.generator.apply(Weights(p, {}), z, y)
        return jnp.mean(jax.nn.softplus(d(d_after, x, y) - d(d_after, made, y)))

    g_gradient = jax.grad(g_loss)(g_params)
    g_updates, _ = adam.update(g_gradient, adam.init(g_params))
    # With beta1 = 0 the first moments are the gradients themselves.
    for got, want in ((after.discriminator_optimizer, gradient), (after.generator_optimizer, g_gradient)):
        jax.tree.map(lambda m, g: assert_allclose(m, g, rtol=2e-3, atol=2e-5), got[0].mu, want)
    for got, want in (
        (after.discriminator, d_after),
        (after.generator.params, optax.apply_updates(g_params, g_updates)),
    ):
        differs = np.concatenate(
            [np.ravel(np.abs(a - b) > 1e-6) for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)]
        )
        assert differs.mean() < 0.01  # Adam's first step is a sign: that of a gradient near zero may differ
    assert_allclose(info.r1, penalty(d_params, x), rtol=1e-4)
    assert_allclose(info.r2, penalty(d_params, negative), rtol=1e-4)
    assert_allclose(info.loss_generator, g_loss(g_params), rtol=1e-5)
    assert_allclose(info.score_real, d(d_params, x, y).mean(), rtol=1e-4, atol=1e-5)


def test_schedules_at_their_corners(tiny):
    config = cfg.override(tiny[0], ["steps=90", "decay_from=0.5", "gamma_until=0.5"])
    rate = relativistic.learning_rate_schedule(config)
    assert_allclose([rate(0), rate(45), rate(90)], [config.learning_rate, config.learning_rate, 0.0], atol=1e-9)
    assert_allclose(rate(60), config.learning_rate * 2 / 3, rtol=1e-5)
    gamma = relativistic.gamma_schedule(config)
    half_way = (config.gamma_start + config.gamma_end) / 2
    want = [config.gamma_start, half_way, config.gamma_end, config.gamma_end]
    assert_allclose([gamma(jnp.float32(t)) for t in (0, 22.5, 45, 90)], want, rtol=1e-6)


@pytest.fixture(scope="module")
def three_steps(tiny, digits):
    """config -> all numbers that three steps lead to; the recipe's own are computed once."""
    known = {}

    def outcome(config):
        name = cfg.dumps(config)
        if name not in known:
            trainer = algorithms.build(config, tiny[1])
            jitted, state = jax.jit(trainer.step), jax.jit(trainer.init)(KEY)
            for i in range(3):
                state, _ = jitted(KEY, state, some_batch(digits, start=8 * i))
            leaves = jax.tree.leaves((state.generator_ema, state.discriminator))
            known[name] = np.concatenate([np.ravel(x) for x in leaves])
        return known[name]

    return outcome


@pytest.mark.parametrize(
    "setting",
    [
        "learning_rate=1e-3",
        "beta1=0.5",
        "beta2=0.5",
        "gamma_start=5",
        "penalty_fraction=0.25",
        "ema_decay=0.05",
        "decay_from=0",
        "gamma_until=0.1",
        "gamma_end=3",
        "steps=4",
        "mismatch_fraction=0.125",
        "latent_std=0.9",
        "augment=0.4",
    ],
)
def test_every_setting_of_the_step_changes_its_outcome(tiny, three_steps, setting):
    config, _ = tiny
    assert np.abs(three_steps(config) - three_steps(cfg.override(config, [setting]))).max() > 0


def test_a_short_training_learns_what_a_digit_is(tiny, digits):
    """Not a measure of quality: after 150 tiny steps samples must be nearer to real means than noise would be."""
    config, networks = tiny
    config = cfg.override(config, ["steps=150", "batch_size=32", "learning_rate=2e-3", "ema_decay=0.9"])
    trainer = algorithms.build(config, networks)
    jitted, state = jax.jit(trainer.step), jax.jit(trainer.init)(KEY)
    z = jax.random.normal(jax.random.key(5), (100, networks.latent_size))
    labels = jnp.arange(100) % 10

    def distance(params):
        images = networks.generator.apply(Weights(params, {}), z, labels) * 0.5 + 0.5
        return float(np.abs(images.mean(0) - digits.images.mean(0) / 255).mean())

    before = distance(state.generator_ema)
    for i in range(150):
        state, _ = jitted(KEY, state, some_batch(digits, 32, start=(32 * i) % 1400))
    assert distance(state.generator_ema) < 0.5 * before


def test_info_names_are_the_metric_names():
    assert PenalisedGANInfo._fields == ("loss_generator", "loss_discriminator", "score_real", "score_fake", "r1", "r2")


@pytest.mark.parametrize(
    ("setting", "fraction", "fits"),
    [
        ("penalty_fraction", 0.75, "1"),
        ("penalty_fraction", 0.4, "0.5"),
        ("mismatch_fraction", 0.3, "0.5"),
        ("mismatch_fraction", 1e-9, "0.125"),
    ],
)
def test_a_fraction_of_the_batch_that_cannot_be_taken_is_refused(tiny, setting, fraction, fits):
    config, networks = tiny
    with pytest.raises(UserError, match=f"{setting} is {fraction}: .* as {fits}$"):
        algorithms.build(cfg.override(config, [f"{setting}={fraction}"]), networks)


def test_mismatched_pairs_are_real_images_of_another_class():
    """A neighbour of the same class leaves the generated image in its place, and every second place keeps it anyway."""
    images = jnp.arange(12, dtype=jnp.float32).reshape(6, 1, 1, 2)
    labels = jnp.array([3, 3, 3, 5, 5, 3])  # the neighbours of 0, 2 and 4 are 5, 1 and 3
    negative = relativistic.mismatched(images, -1 - images, labels, 2)
    assert negative[:, 0, 0, 0].tolist() == [-1, -3, -5, -7, -9, -11]
    labels = jnp.array([3, 3, 1, 5, 2, 0])
    negative = relativistic.mismatched(images, -1 - images, labels, 2)
    assert negative[:, 0, 0, 0].tolist() == [10, -3, 2, -7, 6, -11]


def test_bfloat16_products_keep_a_state_of_float32(tiny, digits):
    """Near the step in float32, and not the same."""
    config, networks = tiny
    found = {}
    for precision in ("float32", "bfloat16"):
        trainer = algorithms.build(cfg.override(config, [f"precision={precision}"]), networks)
        state, info = jax.jit(trainer.step)(KEY, jax.jit(trainer.init)(KEY), some_batch(digits))
        floating = [x for x in jax.tree.leaves((state, info)) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert {x.dtype for x in floating} == {jnp.dtype("float32")}
        found[precision] = np.array(jax.tree.leaves(info))
    assert_allclose(found["bfloat16"], found["float32"], rtol=0.1, atol=0.02)
    assert (found["bfloat16"] != found["float32"]).any()
