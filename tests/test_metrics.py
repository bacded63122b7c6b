"""The metrics against closed forms, SciPy, scikit-learn and the `prdc` package, and cases whose order is known."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cganjax.evaluation.metrics import (
    accuracy,
    bootstrap,
    cas,
    checks,
    diversity,
    frechet,
    kernel,
    memorisation,
    neighbours,
    prdc,
    training,
    two_sample,
)

RANDOM = np.random.default_rng


def cloud(n, f, seed, scale=1.0, shift=0.0):
    """Features with correlated columns of different scales."""
    mix = RANDOM(7).normal(size=(f, f)) * np.linspace(0.3, 3, f)
    return RANDOM(seed).normal(size=(n, f)) @ mix * scale + shift * np.linspace(-1, 2, f)


# --- Frechet ----------------------------------------------------------------------------------------------------------


def test_frechet_of_equal_covariances_is_the_squared_distance_of_means():
    x, shift = cloud(500, 6, 0), np.arange(6.0)
    assert_allclose(frechet.frechet(x, x + shift), np.sum(shift**2), rtol=1e-9)
    assert frechet.frechet(x, x) < 1e-9


def test_frechet_of_commuting_covariances_adds_squared_differences_of_deviations():
    basis, _ = np.linalg.qr(RANDOM(0).normal(size=(5, 5)))
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 2, 1, 4, 9])
    p, q = (frechet.Statistics(m, (basis * s**2) @ basis.T) for m, s in ((np.zeros(5), a), (np.ones(5), b)))
    assert_allclose(frechet.distance(p, q), 5 + np.sum((a - b) ** 2), rtol=1e-12)


@pytest.mark.parametrize("f", [3, 40])
def test_frechet_agrees_with_scipys_sqrtm(f):
    from scipy.linalg import sqrtm

    a, b = cloud(300, f, 1), cloud(400, f, 2, scale=1.3, shift=0.4)
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    want = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(ca + cb - 2 * np.real(sqrtm(ca @ cb)))
    assert_allclose(frechet.frechet(a, b), want, rtol=1e-6)
    assert_allclose(frechet.frechet(a, b), frechet.frechet(b, a), rtol=1e-9)


def test_frechet_of_features_that_never_move():
    # sqrtm of such a product is singular; here the moving columns alone count.
    a, b = cloud(200, 4, 1), cloud(200, 4, 2, scale=2.0)
    dead = np.zeros((200, 8))
    assert_allclose(frechet.frechet(np.hstack([a, dead]), np.hstack([b, dead])), frechet.frechet(a, b), rtol=1e-6)


def test_weights_count_rows_so_many_times():
    x = cloud(60, 4, 3)
    weights = RANDOM(0).multinomial(60, np.full(60, 1 / 60)).astype(float)
    got, want = frechet.statistics(x, weights), frechet.statistics(np.repeat(x, weights.astype(int), axis=0))
    assert_allclose(got.mean, want.mean)
    assert_allclose(got.covariance, want.covariance, rtol=1e-10)


def test_frechet_by_class_is_that_of_each_class():
    a, b = cloud(120, 4, 1), cloud(120, 4, 2, shift=1.0)
    labels = np.arange(120) % 3
    got = frechet.by_class(a, labels, b, labels, 3)
    assert_allclose(got, [frechet.frechet(a[labels == k], b[labels == k]) for k in range(3)])
    with pytest.raises(ValueError, match="at least 5 images of class 3 and 0 were given"):
        frechet.by_class(a, labels, b, labels, 4)


def test_frechet_says_how_many_it_needs():
    with pytest.raises(ValueError, match="needs at least 7 images and 6 were given"):
        frechet.statistics(np.ones((6, 6)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        frechet.statistics(np.full((9, 2), np.nan))
    with pytest.raises(ValueError, match="3 and of 2 features"):
        frechet.frechet(cloud(9, 3, 0), cloud(9, 2, 0))


# --- KID --------------------------------------------------------------------------------------------------------------


def kernel_distance(x, y):
    """The unbiased estimate, written out on scikit-learn's kernel."""
    from sklearn.metrics.pairwise import polynomial_kernel

    k = {
        (i, j): polynomial_kernel(a, b, degree=3, gamma=1 / x.shape[1], coef0=1)
        for i, a in enumerate((x, y))
        for j, b in enumerate((x, y))
    }
    n, m = len(x), len(y)
    return (
        (k[0, 0].sum() - np.trace(k[0, 0])) / (n * (n - 1))
        + (k[1, 1].sum() - np.trace(k[1, 1])) / (m * (m - 1))
        - 2 * k[0, 1].mean()
    )


def test_mmd2_agrees_with_scikit_learns_kernel():
    x, y = cloud(150, 12, 1), cloud(190, 12, 2, shift=0.5)
    assert_allclose(kernel.mmd2(x, y), kernel_distance(x, y), rtol=1e-6)
    for block in (1, 64, 1000):
        assert_allclose(kernel.mmd2(x, y, block=block), kernel.mmd2(x, y), rtol=1e-9)


def test_kid_is_the_mean_over_subsets():
    x, y = cloud(80, 5, 1), cloud(90, 5, 2, shift=0.5)
    mean, std = kernel.kid(x, y, seed=3, subsets=7, size=40)
    random = checks.random(3, "kid")
    want = [
        kernel_distance(x[random.choice(80, 40, replace=False)], y[random.choice(90, 40, replace=False)])
        for _ in range(7)
    ]
    assert_allclose([mean, std], [np.mean(want), np.std(want)], rtol=1e-6)
    assert kernel.kid(x, y, seed=4, subsets=7, size=40) != (mean, std)
    whole = kernel.kid(x, y[:80], subsets=2, size=80)
    assert_allclose(whole, (kernel.mmd2(x, y[:80]), 0), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="KID needs at least 1,000 images and 80 were given"):
        kernel.kid(x, y)


def test_kid_of_one_distribution_is_about_0():
    values = [kernel.mmd2(RANDOM(i).normal(size=(200, 8)), RANDOM(100 + i).normal(size=(200, 8))) for i in range(40)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(40) < 0.05
    assert min(values) < 0 < max(values)  # unbiased


def test_kid_by_class():
    x, y, labels = cloud(60, 4, 1), cloud(60, 4, 2), np.arange(60) % 2
    assert_allclose(
        kernel.by_class(x, labels, y, labels, 2),
        [kernel_distance(x[labels == k], y[labels == k]) for k in (0, 1)],
        rtol=1e-6,
    )


# --- neighbours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("sizes", [(300, 300, 16), (400, 250, 3)])
def test_prdc_agrees_with_the_package(k, sizes, capsys):
    import prdc as package

    n, m, f = sizes
    real, generated = cloud(n, f, 1), cloud(m, f, 2, scale=0.8, shift=0.3)
    want = package.compute_prdc(real, generated, k)
    got = prdc.prdc(real, generated, k)
    assert set(got) == set(want)
    for name, value in want.items():
        assert_allclose(got[name], value, rtol=1e-6, err_msg=name)


def test_prdc_against_a_count_by_hand():
    real = np.array([[0.0], [1.0], [5.0]])  # distance to the nearest other: 1, 1, 4
    generated = np.array([[0.5], [4.0], [20.0]])  # 3.5, 3.5, 16
    # 0.5 lies in the balls of 0 and 1; 4 in that of 5; 20 in none. Those around generated ones hold all real ones.
    assert prdc.prdc(real, generated, 1) == {"precision": 2 / 3, "recall": 1, "density": 1, "coverage": 1}
    assert prdc.prdc(real, generated + 100, 1) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_block_sizes_do_not_matter():
    real, generated = cloud(333, 7, 1), cloud(250, 7, 2, shift=0.2)
    whole = prdc.of_each(real, generated, 5, block=1000)
    for block in (1, 100):
        for a, b in zip(prdc.of_each(real, generated, 5, block=block), whole, strict=True):
            assert_array_equal(a, b)
    labels = np.arange(333) % 4
    assert_allclose(diversity.feature_distance(real, labels, 4, block=10), diversity.feature_distance(real, labels, 4))
    for block in (1, 100):
        index, distance = neighbours.nearest(generated, real, block)
        assert_array_equal(index, neighbours.nearest(generated, real)[0])
        assert_allclose(distance, neighbours.nearest(generated, real)[1])


@pytest.mark.parametrize("m", [7, 100, 1003])
def test_the_kth_smallest_is_that_of_a_sort(m):
    values = np.round(RANDOM(0).random((20, m)), 2)  # with ties
    for k in (0, 1, 5):
        assert_array_equal(neighbours._smallest(values, k), np.sort(values, axis=1)[:, k])


def test_radii_and_nearest_agree_with_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    x, y = cloud(2000, 9, 1), cloud(300, 9, 2)
    distance, index = NearestNeighbors(algorithm="brute").fit(x).kneighbors(x, 6)
    assert_allclose(np.sqrt(neighbours.radii(x, 5)), distance[:, 5], rtol=1e-6)
    distance, index = NearestNeighbors(algorithm="brute").fit(x).kneighbors(y, 1)
    got = neighbours.nearest(y, x)
    assert_array_equal(got[0], index[:, 0])
    assert_allclose(got[1], distance[:, 0], rtol=1e-5)  # the images are float32
    assert_allclose(neighbours.nearest(x[:5], x)[1], 0, atol=1e-12)  # copies lie at 0, not near it


def test_memorisation_sees_copies():
    random = RANDOM(0)
    train, test, fresh = (random.random((n, 4, 4, 1)) for n in (2000, 1000, 1000))
    of_test = neighbours.nearest(test, train)[1]
    found = memorisation.memorisation(neighbours.nearest(fresh, train)[1], of_test)
    assert found["memorised"] < 0.03 and abs(found["nearest"] / found["nearest_real"] - 1) < 0.05
    copies = memorisation.memorisation(neighbours.nearest(train[:500] + 1e-3, train)[1], of_test)
    assert copies["memorised"] == 1 and copies["nearest"] < 0.01
    assert memorisation.memorisation(of_test, of_test)["memorised"] == 0.01
    with pytest.raises(ValueError, match="at least 60 real images"):
        memorisation.memorisation(of_test, of_test[:50])


# --- diversity, accuracy, intervals -----------------------------------------------------------------------------------


def test_diversity_by_hand():
    images = np.zeros((4, 1, 2, 1))
    images[1, 0, 0], images[3, 0] = 1.0, 0.5  # class 0: one pixel of std .5, one of 0; class 1: both .25
    assert diversity.pixel_std(images, [0, 0, 1, 1], 2) == [0.25, 0.25]
    features = np.array([[0.0, 0], [3, 4], [1, 1], [1, 1], [0, 6]])
    assert_allclose(diversity.feature_distance(features, [0, 0, 1, 1, 0], 2), [(5 + 6 + np.sqrt(13)) / 3, 0], atol=1e-7)
    with pytest.raises(ValueError, match="at least 2 images of class 2 and 0"):
        diversity.pixel_std(images, [0, 0, 1, 1], 3)


def test_feature_distance_agrees_with_scipy():
    from scipy.spatial.distance import pdist

    x, labels = cloud(90, 6, 1), np.arange(90) % 3
    want = [pdist(x[labels == k]).mean() for k in range(3)]
    assert_allclose(diversity.feature_distance(x, labels, 3), want, rtol=1e-6)


def test_accuracy_and_its_confusion():
    from sklearn.metrics import confusion_matrix

    labels, answers = RANDOM(0).integers(0, 3, 50), RANDOM(1).integers(0, 3, 50)
    found = accuracy.accuracy(labels, answers, 4)
    assert_array_equal(found["confusion"], confusion_matrix(labels, answers, labels=range(4)))
    assert found["accuracy"] == np.mean(labels == answers)
    assert found["accuracy_by_class"][3] is None
    assert_allclose(found["accuracy_by_class"][1], np.mean(answers[labels == 1] == 1))
    with pytest.raises(ValueError, match="expected one for each image"):
        accuracy.accuracy([1, 2], [1], 4)


def test_intervals_hold_the_truth_19_times_of_20():
    hits, draws = 0, 200
    for i in range(draws):
        x = RANDOM(i).normal(2.0, 3.0, 100)
        low, high = bootstrap.interval(lambda w, x=x: float(w @ x / w.sum()), x.mean(), 100, seed=i, stream="a")
        hits += low < 2.0 < high
        assert_allclose(high - low, np.diff(bootstrap.of_mean(x))[0], rtol=0.35)
    assert abs(hits / draws - 0.95) < 4 * np.sqrt(0.05 * 0.95 / draws)
    one, again, other = (
        bootstrap.interval(lambda w: float(w @ np.arange(9.0)), 0, 9, seed=s, stream=t)
        for s, t in ((0, "a"), (0, "a"), (0, "b"))
    )
    assert one == again != other


# --- those that train -------------------------------------------------------------------------------------------------


@pytest.fixture
def lenient():
    """optax's Adam mixes integers with floats, which strict promotion forbids."""
    import jax

    with jax.numpy_dtype_promotion("standard"):
        yield


SHORT = dataclasses.replace(training.RECIPE, steps=60, epoch_steps=20, batch_size=64)
TINY = dataclasses.replace(SHORT, steps=3, classifier={"width_14": 2, "width_7": 2, "hidden": 4})


@pytest.fixture(scope="module")
def real_digits():
    from cganjax import data

    return [data.load("digits", split)[2:4] for split in ("train", "test")]


def test_cas_knows_good_labels_from_shuffled_ones(real_digits, lenient):
    (images, labels), (test, truth) = real_digits
    good = cas.cas(images, labels, test, truth, 10, recipe=SHORT)
    bad = cas.cas(images, RANDOM(0).permutation(labels), test, truth, 10, recipe=SHORT)
    assert good["accuracy"] > 0.7 > 0.4 > bad["accuracy"]
    assert np.sum(good["confusion"]) == len(test)
    with pytest.raises(ValueError, match="CAS needs at least 1,000 images and 9 were given"):
        cas.cas(images[:9], labels[:9], test, truth, 10)


def test_two_sample_tells_noise_from_digits_and_not_digits_from_digits(real_digits, lenient):
    images = np.concatenate([images for images, _ in real_digits])
    order = RANDOM(0).permutation(len(images))
    doubled = np.concatenate([images] * 2)
    one, other = doubled[order], doubled[order + len(images)]
    same = two_sample.two_sample(one, other, recipe=SHORT)
    assert abs(same["two_sample"] - 0.5) < 0.1
    noisy = np.where(RANDOM(1).random(one.shape) < 0.05, 255, one).astype(np.uint8)
    apart = two_sample.two_sample(noisy, other, recipe=SHORT)
    assert apart["two_sample"] > 0.9 and apart["two_sample_p"] < 1e-6 < same["two_sample_p"]
    with pytest.raises(ValueError, match="at least 1,000 real images and 5"):
        two_sample.two_sample(one, other[:5])


def test_the_seed_decides_what_is_trained(real_digits, lenient):
    (images, labels), (test, _) = real_digits
    one, again, other = (training.fit(images, labels, 10, seed=s, stream="a", recipe=TINY)(test) for s in (0, 0, 1))
    assert_array_equal(one, again)
    assert (one != other).any()


def test_two_sample_p_is_the_normal_tail(real_digits, monkeypatch):
    from scipy.stats import norm

    images = np.zeros((1000, 28, 28, 1), np.uint8)
    answers = np.zeros(1000, int)
    answers[:510] = 1  # right for 500 of 500 generated and 490 of 500 real
    monkeypatch.setattr(training, "fit", lambda *a, **k: lambda x: answers)
    found = two_sample.two_sample(images, images)
    assert found["two_sample"] == 0.99
    assert_allclose(found["two_sample_p"], norm.sf(0.99, 0.5, np.sqrt(1 / 4000)), rtol=1e-6)
