"""Attacks and bounds: closed forms on linear classifiers, one table of contracts, and the original re-derived."""

import doctest
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cganjax
from cganjax import decoys, rng
from cganjax import scores as scores_of
from cganjax.decoys import attacks
from cganjax.decoys.attacks import gradient, grid, norms, objectives, queries
from cganjax.decoys.attacks.norms import NORMS, Bounds
from cganjax.decoys.attacks.square import covers

KEY = jax.random.key(3)
SHAPE = (6, 5, 1)


def linear(scale=1.0, classes=4, seed=0, kind="logits"):
    """A classifier whose outputs are linear in the pixels."""
    w = scale * np.random.default_rng(seed).normal(size=(30, classes)).astype(np.float32)

    class Linear:
        scores = kind

        def __call__(self, images):
            return jnp.asarray(images).reshape(len(images), -1) @ w

    return Linear(), w


def some_images(n=7, seed=1):
    return np.random.default_rng(seed).uniform(0.3, 0.7, (n, *SHAPE)).astype(np.float32)


# --- norms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2)])
def test_norms_against_numpy(norm, order):
    x = np.random.default_rng(0).normal(size=(9, *SHAPE)).astype(np.float32)
    x[0] = 0
    x[1] *= 1e-30  # its squares vanish in float32
    want = [np.linalg.norm(image.astype(np.float64).ravel(), ord=order) for image in x]
    assert_allclose(NORMS[norm].size(x), want, rtol=1e-5)
    sizes = np.linspace(0, 3, 9).astype(np.float32)
    inside = NORMS[norm].project(x, sizes)
    assert np.all(np.asarray(NORMS[norm].size(inside)) <= sizes * (1 + 1e-5))
    assert_allclose(NORMS[norm].project(inside, sizes), inside, rtol=1e-5)  # it is there already
    far = want > sizes
    assert_allclose(np.asarray(NORMS[norm].size(inside))[~far], np.array(want)[~far], rtol=1e-5)
    steepest = NORMS[norm].steepest(x[2:])
    assert_allclose(NORMS[norm].size(steepest), np.ones(7), rtol=1e-5)
    starts = jax.vmap(lambda key: NORMS[norm].random(key, SHAPE))(rng.items(KEY, 500))
    found = np.asarray(NORMS[norm].size(starts))
    assert found.max() <= 1 + 1e-5 and found.max() > 0.9


def test_steepest_is_steepest():
    slope = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    for norm, dual in (("linf", 1), ("l2", 2)):  # the largest rise over a unit ball is the dual norm
        rise = float(np.sum(np.asarray(NORMS[norm].steepest(slope)) * slope))
        assert_allclose(rise, np.linalg.norm(slope.ravel(), ord=dual), rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_projection_holds_size_box_and_mask_at_once(norm):
    clean = np.random.default_rng(2).uniform(0, 1, (8, *SHAPE)).astype(np.float32)
    mask = (clean > 0.5).astype(np.float32)
    bounds = Bounds(clean, np.full(8, 0.3, np.float32), mask)
    wild = clean + np.random.default_rng(3).normal(size=clean.shape).astype(np.float32)
    found = np.asarray(norms.project(norm, bounds, wild))
    assert found.min() >= 0 and found.max() <= 1
    assert np.all(np.asarray(NORMS[norm].size(found - clean)) <= 0.3 + 1e-6)
    assert_array_equal(found[mask == 0], clean[mask == 0])
    assert np.abs(found - clean).max() > 0.05


# --- objectives and outputs -------------------------------------------------------------------------------------------


def test_log_odds_orders_as_confidence_and_does_not_saturate():
    outputs = jnp.array([[2.0, -1.0, 0.5], [0.1, 0.1, 0.1], [-3.0, 4.0, 1.0]])
    p = np.asarray(jax.nn.softmax(outputs)).max(axis=1)
    assert_allclose(scores_of.log_odds(outputs, "logits"), np.log(p / (1 - p)), rtol=1e-5)
    assert_allclose(scores_of.uncertainty(outputs, "logits"), 1 - p, rtol=1e-5)
    given = jax.nn.softmax(outputs)
    assert_allclose(scores_of.log_odds(given, "probabilities"), np.log(p / (1 - p)), rtol=1e-4)
    assert_allclose(scores_of.log_odds(outputs, "sigmoid"), [2.0, 0.1, 4.0], rtol=1e-6)
    sure = jnp.array([[60.0, 0.0, -5.0]])
    assert float(jax.nn.softmax(sure).max()) == 1.0  # float32 is at its end here
    assert_allclose(scores_of.uncertainty(sure, "logits"), [np.exp(-60.0) + np.exp(-65.0)], rtol=1e-3)
    assert np.abs(jax.grad(lambda x: scores_of.log_odds(x, "logits").sum())(sure)).max() > 0.5


@pytest.mark.parametrize("name", objectives.OBJECTIVES)
@pytest.mark.parametrize("kind", scores_of.KINDS)
def test_objectives_fall_as_confidence_does_and_have_gradients_where_softmax_has_none(name, kind):
    objective = objectives.OBJECTIVES[name]
    sure, unsure = jnp.array([[9.0, -2.0, -3.0, -3.0]]), jnp.array([[0.3, 0.2, -0.1, -3.0]])
    if kind == "probabilities":
        sure, unsure = jax.nn.softmax(sure), jax.nn.softmax(unsure)
    if not (name == "softplus" and kind == "probabilities"):  # a sum of log(1 + p) is the same for both
        assert float(objective(unsure, kind)[0]) < float(objective(sure, kind)[0])
    if kind != "probabilities":
        slope = jax.grad(lambda x: objective(x, kind).sum())(jnp.array([[300.0, 0.0, -1.0, -1.0]]))
        assert float(slope[0, 0]) > 1e-2 and np.isfinite(slope).all()


def test_uniform_is_the_standard_deviation_and_margin_the_lead_over_the_mean():
    outputs = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    assert_allclose(objectives.uniform(outputs, "logits"), outputs.std(axis=1), rtol=1e-4)
    assert_allclose(objectives.margin(outputs, "logits"), outputs.max(axis=1) - outputs.mean(axis=1), rtol=1e-5)
    assert_allclose(objectives.softplus(outputs, "sigmoid"), np.log1p(np.exp(outputs)).sum(axis=1), rtol=1e-5)


def test_what_objectives_are_of_sigmoids_is_said():
    outputs = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    said = " ".join(cganjax.decoy.__doc__.split())
    for name, other in (("uniform", "softplus"), ("margin", "confidence")):
        assert_array_equal(*(objectives.OBJECTIVES[n](outputs, "sigmoid") for n in (name, other)))
        assert f'"{name}" is "{other}"' in said


def test_the_confidence_of_a_goal_is_the_mean_and_says_where_a_label_is_lost():
    (one, w1), (two, w2) = linear(seed=0), linear(seed=1, kind="sigmoid")
    images = some_images()
    flat = images.reshape(7, -1)
    want = (np.asarray(jax.nn.softmax(flat @ w1)).max(axis=1) + np.asarray(jax.nn.sigmoid(flat @ w2)).max(axis=1)) / 2
    labels = np.stack([(flat @ w).argmax(axis=1) for w in (w1, w2)], axis=1)
    labels[3, 1] = (labels[3, 1] + 1) % 4
    goal = objectives.Goal((one, two), ("logits", "sigmoid"), ("confidence",) * 2, keep=0.0)
    assert_allclose(goal.confidence(images, labels), want, rtol=1e-5)
    want[3] = objectives.LOST
    assert_allclose(goal._replace(keep=1.0).confidence(images, labels), want, rtol=1e-5)


def test_the_goal_is_a_mean_with_a_term_for_each_lost_label():
    (one, w1), (two, w2) = linear(seed=0), linear(seed=1)
    images, labels = some_images(), np.array([[0, 1]] * 7)
    goal = objectives.Goal((one, two), ("logits",) * 2, ("margin", "confidence"), keep=2.0, lead=0.5)
    want = 0
    for w, label, name in ((w1, 0, "margin"), (w2, 1, "confidence")):
        z = images.reshape(7, -1) @ w
        others = np.delete(z, label, axis=1).max(axis=1)
        want += np.asarray(objectives.OBJECTIVES[name](z, "logits")) + 2 * (
            np.maximum(others + 0.5 - z[:, label], 0) + 1e9 * (others > z[:, label])
        )
    assert_allclose(goal(images, labels), want / 2, rtol=1e-4)


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_fgsm_is_one_step_of_epsilon_against_the_sign():
    classifier, w = linear(classes=2)
    images = some_images()
    difference = w[:, 0] - w[:, 1]  # the log-odds of two classes are the difference of their logits
    top = np.sign(images.reshape(7, -1) @ difference)
    for epsilon in (0.05, 0.1):
        found = cganjax.decoy(KEY, images, classifier, epsilon=epsilon, method="fgsm", keep_label=False).images
        want = -epsilon * top[:, None] * np.sign(difference)
        assert_allclose((found - images).reshape(7, -1), want, atol=1e-6)


@pytest.mark.parametrize(("method", "settings"), [("fgsm", {}), ("pgd", {"steps": 3}), ("di", {"steps": 3})])
def test_over_epsilons_is_decoy_at_each(method, settings):
    classifier, _ = linear(seed=3)
    images, sizes = some_images(), [0.0, 0.05, 0.1]
    found = grid.over_epsilons(KEY, images, classifier, sizes, method=method, **settings)
    assert found.shape == (3, *images.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", decoys.DecoyWarning)
        for epsilon, made in zip(sizes, found, strict=True):
            want = cganjax.decoy(KEY, images, classifier, epsilon=epsilon, method=method, keep_label=False, **settings)
            assert_allclose(made, want.images, atol=1e-6)
    under_jit = jax.jit(lambda e: grid.over_epsilons(KEY, images, classifier, e, method=method, **settings))
    assert_allclose(under_jit(jnp.array(sizes)), found, atol=1e-6)


def test_over_epsilons_refuses_what_it_cannot_vectorise():
    for method in ("square", "latent"):
        with pytest.raises(ValueError, match=f"method {method} goes by queries or moves latents"):
            grid.over_epsilons(KEY, some_images(), linear()[0], [0.1], method=method)
    assert doctest.testmod(grid) == (0, 7)


def test_l2_uses_all_of_epsilon_along_the_gradient():
    classifier, w = linear(classes=2)
    images = some_images()
    difference = (w[:, 0] - w[:, 1]) / np.linalg.norm(w[:, 0] - w[:, 1])
    top = np.sign(images.reshape(7, -1) @ difference)
    found = cganjax.decoy(KEY, images, classifier, epsilon=0.2, method="fgsm", norm="l2", keep_label=False).images
    assert_allclose((found - images).reshape(7, -1), -0.2 * top[:, None] * difference, atol=1e-5)


def test_descent_steps_by_its_share_and_momentum_remembers():
    classifier, _ = linear(classes=2)
    images = some_images()
    one = cganjax.decoy(KEY, images, classifier, epsilon=0.2, method="bim", steps=1, share=0.25, keep_label=False)
    assert_allclose(np.abs(one.images - images), 0.05, atol=1e-6)
    assert_array_equal(one.queries, np.full(7, 2))
    smoothed = gradient.smooth(jnp.ones((1, 9, 9, 1)), 2)
    assert_allclose(smoothed[0, 4, 4, 0], 1.0, rtol=1e-5)
    assert float(smoothed[0, 0, 0, 0]) < 0.6  # nothing lies outside
    spike = gradient.smooth(jnp.zeros((1, 9, 9, 1)).at[0, 4, 4, 0].set(1.0), 2)[0, ..., 0]
    assert_allclose(spike, np.asarray(spike).T, rtol=1e-6)
    assert_allclose(np.asarray(spike).sum(), 1.0, rtol=1e-5)


def test_diverse_leaves_or_shrinks_each_image():
    images = np.zeros((40, 16, 16, 1), np.float32)
    images[:, 4:12, 4:12] = 1
    assert_array_equal(gradient.diverse(rng.items(KEY, 40), images, 0.0), images)
    small = np.asarray(gradient.diverse(rng.items(KEY, 40), images, 1.0))
    share = small.sum(axis=(1, 2, 3)) / 64
    assert share.min() > 0.7 and share.max() < 1.01 and share.std() > 0.03
    half = np.asarray(gradient.diverse(rng.items(KEY, 40), images, 0.5))
    kept = (half == images).all(axis=(1, 2, 3)).mean()
    assert 0.2 < kept < 0.8


# --- the original -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["current", "clean"])
def test_coordinate_is_the_published_loop(reference):
    classifier, w = linear(scale=0.8, kind="sigmoid", seed=4)
    images = some_images(3, seed=5)

    def loss(x):
        return float((1 / (1 + np.exp(-(x.astype(np.float64).ravel() @ w)))).max())

    want = []
    for x in images:
        x, first, rounds = x.copy(), loss(x), 0
        while rounds < 5 and loss(x) >= 0.5:
            before = loss(x) if reference == "current" else first
            change = np.zeros_like(x)
            for i in range(x.size):
                trial = x.copy()
                trial.flat[i] += np.float32(0.04)
                change.flat[i] = 0.04 if loss(trial) <= before else -0.04
            x, rounds = np.clip(x + change, 0, 1), rounds + 1
        want.append(x)
    found = cganjax.decoy(
        KEY, images, classifier, epsilon=0.2, method="coordinate", reference=reference, keep_label=False
    )
    assert_allclose(found.images, want, atol=2e-6)
    assert found.queries.max() > 31 and set((found.queries - 1) % 31) == {0}  # 30 pixels and one, a round


def test_coordinate_keeps_the_label_where_asked():
    classifier, _ = linear(scale=0.8, kind="sigmoid", seed=4)
    images = some_images(40, seed=5)
    given = {"epsilon": 0.2, "method": "coordinate", "stop": 0.3}
    free, kept = (cganjax.decoy(KEY, images, classifier, keep_label=k, **given) for k in (False, True))
    assert kept.label_kept.all() and 0 < free.label_kept.mean() < 1
    assert kept.confidence.mean() < kept.clean_confidence.mean() - 0.1
    assert np.all(kept.confidence <= kept.clean_confidence)
    same = free.label_kept & (kept.queries == free.queries)
    assert same.any() and (kept.images == free.images).all(axis=(1, 2, 3))[same].mean() > 0.9
    both = [classifier, linear(scale=0.8, seed=9)[0]]
    assert cganjax.decoy(KEY, images, both, **given).label_kept.all()


# --- contracts --------------------------------------------------------------------------------------------------------

# Every method with every setting of its own, away from the default.
SETTINGS = {
    "bim": {"steps": 5, "share": 0.3},
    # A second round against the clean image's value would raise every pixel: the first has lowered it.
    "coordinate": {"step": 0.05, "rounds": 1, "stop": 0.1, "reference": "clean"},
    "di": {"steps": 5, "share": 0.3, "momentum": 0.5, "diversity": 0.9},
    "ensemble": {"steps": 5, "share": 0.3, "momentum": 0.5, "views": 1},
    "fgsm": {},
    "mi": {"steps": 5, "share": 0.3, "momentum": 0.2},
    "pgd": {"steps": 5, "share": 0.3},
    "spsa": {"steps": 3, "samples": 8, "reach": 0.02, "share": 0.5, "decay": 0.2},
    "square": {"queries": 60, "share": 0.1},
    "ti": {"steps": 5, "share": 0.3, "momentum": 0.5, "translation": 1},
}


def test_the_table_visits_every_method_and_setting():
    import inspect

    assert set(SETTINGS) | {"latent", "latent+pixel"} == set(attacks.METHODS)
    for name, settings in SETTINGS.items():
        signature = inspect.signature(attacks.METHODS[name].attack).parameters.values()
        assert set(settings) == {p.name for p in signature if p.kind == p.KEYWORD_ONLY}, name


@pytest.mark.parametrize("method", SETTINGS)
def test_every_method_lowers_confidence_inside_its_bounds(method):
    # So sure that a step of epsilon does not carry them past the boundary and up on its other side.
    classifier, _ = linear(scale=3.0, classes=2, seed=7)
    images = np.random.default_rng(8).uniform(0, 1, (200, *SHAPE)).astype(np.float32)
    odds = np.asarray(scores_of.log_odds(classifier(images), "logits"))
    images = images[(odds > 3) & (odds < 5)][:7]
    for settings in ({}, SETTINGS[method]):
        result = cganjax.decoy(KEY, images, classifier, epsilon=0.02, method=method, **settings)
        assert result.images.shape == images.shape and result.images.dtype == np.float32
        assert result.images.min() >= 0 and result.images.max() <= 1
        assert np.abs(result.images - images).max() <= 0.02 + 1e-6
        assert result.confidence.mean() < result.clean_confidence.mean() - 0.002, settings
        assert result.queries.shape == (7,) and result.queries.min() >= 1
        p = np.asarray(jax.nn.softmax(classifier(result.images)))  # evaluated again, whatever the attack said
        assert_allclose(result.confidence, p.max(axis=1), rtol=1e-5)
        again = cganjax.decoy(KEY, images, classifier, epsilon=0.02, method=method, **settings)
        assert_array_equal(again.images, result.images)
    two = linear(scale=3.0, classes=2, seed=9)[0]
    with warnings.catch_warnings():  # the second is unsure of some: lowering the first may well raise it
        warnings.simplefilter("ignore", decoys.DecoyWarning)
        both = cganjax.decoy(KEY, images, [classifier, two], epsilon=0.02, method=method, **settings)
    assert both.confidence.shape == both.label_kept.shape == (7, 2)


@pytest.mark.parametrize("method", ["pgd", "di", "ensemble", "spsa", "square"])
def test_decoy_i_depends_on_key_i_and_image_i_alone(method):
    classifier, _ = linear(scale=2.0, seed=7)
    images = some_images(7)
    settings = {"chunk": 3} | ({"queries": 40} if method == "square" else {"steps": 3})
    whole = cganjax.decoy(KEY, images, classifier, epsilon=0.1, method=method, **settings).images
    part = cganjax.decoy(KEY, images[:2], classifier, epsilon=0.1, method=method, **settings).images
    assert_allclose(whole[:2], part, atol=1e-6)
    other = cganjax.decoy(jax.random.key(4), images, classifier, epsilon=0.1, method=method, **settings).images
    assert np.abs(other - whole).max() > 1e-3


def test_an_overconfident_classifier_is_attacked_all_the_same():
    classifier, _ = linear(scale=400.0, seed=7)  # its highest probability is 1 in float32
    images = some_images()
    for method in ("fgsm", "pgd", "ensemble"):
        result = cganjax.decoy(KEY, images, classifier, epsilon=0.02, method=method, keep_label=False)
        assert result.clean_confidence.min() == 1.0
        assert not result.warnings
        before, after = (scores_of.log_odds(classifier(x), "logits") for x in (images, result.images))
        assert np.mean(np.asarray(after) < np.asarray(before)) > 0.8


def test_labels_are_kept_where_asked_and_only_ink_is_changed():
    classifier, _ = linear(scale=3.0, seed=11)
    images = np.random.default_rng(8).uniform(0, 1, (40, *SHAPE)).astype(np.float32)
    images[images < 0.4] = 0
    free = cganjax.decoy(KEY, images, classifier, epsilon=0.3, keep_label=False)
    kept = cganjax.decoy(KEY, images, classifier, epsilon=0.3)
    assert kept.label_kept.all() and not free.label_kept.all()
    ink = cganjax.decoy(KEY, images, classifier, epsilon=0.3, ink_only=True)
    assert_array_equal(ink.images[images == 0], 0)
    assert np.abs(ink.images - images).max() > 0.05


def test_queries_are_padded_and_counted():
    seen = []

    def value(images, rows):
        seen.append(len(images))
        assert len(images) == len(rows)
        return images.sum(axis=(1, 2, 3))

    images = some_images(7)
    try:
        before, queries.AT_ONCE = queries.AT_ONCE, 3
        assert_allclose(queries.asked(value, images, np.arange(7)), images.sum(axis=(1, 2, 3)), rtol=1e-6)
    finally:
        queries.AT_ONCE = before
    assert seen == [3, 3, 3]


def test_all_images_are_asked_together_and_in_one_size():
    images = some_images(7)
    bounds, keys = Bounds(images, np.full(7, 0.2, np.float32), np.ones_like(images)), rng.items(KEY, 7)
    seen, w = [], np.random.default_rng(0).normal(size=30)

    def value(images, rows):
        assert len(images) == len(rows)
        seen.append(len(images))
        return 1 / (
            1 + np.exp(2 - images.reshape(len(images), 30) @ w - rows)
        )  # some are below 0.5 rounds before others

    task = attacks.Task(None, value, value, bounds, None, "linf")

    def of(method, **settings):
        return attacks.METHODS[method].attack(keys, task, **settings)

    asked = of("coordinate").queries
    assert len(set(asked)) > 2
    rounds = (asked.max() - 1) // 31
    assert seen == [7] + [210, 7] * rounds  # every pixel of all images in one call, whichever of them still go on
    seen.clear()
    of("spsa", steps=3, samples=4)
    assert seen == [7] + [56, 7] * 3
    seen.clear()
    of("spsa", steps=1, samples=500)  # the pairs of two images fill a call
    assert seen == [7] + [2000] * 4 + [7]
    seen.clear()
    of("square", queries=9)
    assert seen == [7] * 9


def test_images_that_stop_early_compile_nothing_anew():
    linear_one, traces = linear(scale=0.8, kind="sigmoid", seed=4)[0], []

    class Counted:
        scores = "sigmoid"

        def __call__(self, images):
            traces.append(images.shape) if isinstance(images, jax.core.Tracer) else None
            return linear_one(images)

    result = cganjax.decoy(KEY, some_images(9), Counted(), epsilon=0.2, method="coordinate", keep_label=False, chunk=4)
    assert len(set(result.queries)) > 1
    # Looked at once for the whole call, then compiled for the trials and for the images of a chunk.
    assert [shape[0] for shape in traces] == [2, 4, 120]
    traces.clear()
    cganjax.decoy(KEY, some_images(9), Counted(), epsilon=0.2, method="fgsm", chunk=4)
    assert sum(shape[0] == 2 for shape in traces) == 1


def test_squares_lie_where_they_are_drawn():
    draws = np.array([[0.0], [0.5], [0.999]], np.float32)
    for side in (1, 3, 6):
        for row, (draw,) in zip(covers(draws, 6, side), draws, strict=True):
            want, begin = np.zeros(6, bool), int(draw * (6 - side + 1))
            want[begin : begin + side] = True
            assert_array_equal(row, want)


def test_decay_of_spsa_reaches_it():
    classifier, _ = linear(scale=2.0, seed=7)
    given = {"epsilon": 0.1, "method": "spsa", "steps": 4, "samples": 8, "norm": "l2"}
    found = [
        cganjax.decoy(KEY, some_images(), classifier, **given, **more).images
        for more in ({}, {"decay": 0.75}, {"decay": 0.0})
    ]
    assert_array_equal(found[0], found[1])
    assert np.abs(found[2] - found[0]).max() > 1e-3


def test_a_classifier_that_learns_is_attacked_as_it_is_now():
    class Learner:
        def __init__(self, seed):
            self.params = {"w": jnp.asarray(linear(scale=2.0, seed=seed)[1])}

        def __call__(self, images):
            return jnp.asarray(images).reshape(len(images), -1) @ self.params["w"]

    one, other, images = Learner(0), Learner(1), some_images()
    for method, settings in (("pgd", {"steps": 3}), ("square", {"queries": 20})):
        first = cganjax.decoy(KEY, images, one, epsilon=0.1, method=method, **settings).images
        before, one.params = one.params, other.params
        found = cganjax.decoy(KEY, images, one, epsilon=0.1, method=method, **settings).images
        assert_array_equal(found, cganjax.decoy(KEY, images, other, epsilon=0.1, method=method, **settings).images)
        assert np.abs(found - first).max() > 1e-3
        one.params = before
    assert objectives.Held(one) == objectives.Held(one) != objectives.Held(other)


def test_a_latent_moves_on_its_sphere_and_the_image_follows():
    w = np.random.default_rng(0).normal(size=(8, 30)).astype(np.float32) / 3

    def generator(z, labels):
        return jax.nn.sigmoid(jnp.asarray(z) @ w + jnp.asarray(labels, jnp.float32)[:, None] / 9).reshape(-1, *SHAPE)

    classifier, _ = linear(scale=6.0, seed=2)
    z, labels = jax.random.normal(KEY, (9, 8)), np.arange(9) % 3
    images = np.asarray(generator(z, labels))
    given = {"generator": generator, "z": z, "labels": labels}
    result = cganjax.decoy(KEY, images, classifier, epsilon=0, method="latent", **given)
    assert_allclose(result.images, generator(result.z, labels), atol=1e-6)
    assert_allclose(np.linalg.norm(result.z, axis=1), np.linalg.norm(z, axis=1), rtol=1e-4)
    assert result.confidence.mean() < result.clean_confidence.mean() - 0.05
    near = cganjax.decoy(KEY, images, classifier, epsilon=0, method="latent", radius=0.02, steps=10, **given)
    assert np.linalg.norm(near.z - z, axis=1).max() < 0.05 * np.linalg.norm(z, axis=1).max()
    both = cganjax.decoy(KEY, images, classifier, epsilon=0.05, method="latent+pixel", **given)
    assert np.abs(both.images - np.asarray(generator(both.z, labels))).max() <= 0.05 + 1e-6
    assert both.confidence.mean() < both.clean_confidence.mean() - 0.05
