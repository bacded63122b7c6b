"""Detectors: their formulas, an inlier and an outlier of known order for each, thresholds, and real data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import cganjax
from cganjax import data, pixels, sampling
from cganjax.decoys import detectors

FITTING = {"logits": [n for n, d in detectors.DETECTORS.items() if "logits" in d.scores]}


def clusters(n=400, seed=0):
    """Images of three classes, each near a corner of the pixel cube, and their labels."""
    rng = np.random.default_rng(seed)
    corners = np.array([[0.9, 0.1, 0.1, 0.5], [0.1, 0.9, 0.1, 0.5], [0.1, 0.1, 0.9, 0.5]])
    labels = np.arange(n) % 3
    images = np.clip(corners[labels] + 0.03 * rng.normal(size=(n, 4)), 0, 1)
    return images.reshape(n, 2, 2, 1).astype(np.float32), labels


class Bright:
    """Logits that grow with the pixel of the class; the features are the pixels."""

    scores = "logits"

    def __call__(self, images):
        return 12.0 * jnp.asarray(images).reshape(len(images), 4)[:, :3]

    def features(self, images):
        return jnp.asarray(images).reshape(len(images), 4)


class Sigmoids(Bright):
    scores = "sigmoid"

    def __call__(self, images):
        return super().__call__(images) - 6.0


def probabilities(images):
    return np.asarray(jax.nn.softmax(Bright()(images)))


INLIER = np.array([0.9, 0.1, 0.1, 0.5], np.float32).reshape(1, 2, 2, 1)
OUTLIER = np.array([0.35, 0.3, 0.3, 0.9], np.float32).reshape(1, 2, 2, 1)  # unsure, faint, and far from all


@pytest.mark.parametrize(
    ("name", "classifier"),
    [(n, Bright()) for n in FITTING["logits"]]
    + [(n, Sigmoids()) for n in ("energy", "knn", "mahalanobis", "max_logit", "max_sigmoid")],
    ids=lambda x: x if isinstance(x, str) else x.scores,
)
def test_the_outlier_scores_higher_and_is_rejected_and_real_images_are_accepted(name, classifier):
    real, labels = clusters()
    detector = cganjax.calibrate(name, classifier, real, labels=labels)
    inlier, outlier = (float(detector.score(x)[0]) for x in (INLIER, OUTLIER))
    assert inlier < detector.threshold < outlier
    assert not bool(detector.rejects(INLIER)[0]) and bool(detector.rejects(OUTLIER)[0])
    others, _ = clusters(seed=1)
    assert abs(float(np.mean(np.asarray(detector.rejects(others)))) - 0.05) < 0.05
    loose = cganjax.calibrate(name, classifier, real, accept=0.5, labels=labels)
    assert loose.threshold < detector.threshold
    assert_allclose(jax.jit(detector.score)(OUTLIER), detector.score(OUTLIER), rtol=1e-4)


def test_scores_by_their_formulas():
    from scipy.special import logsumexp

    real, _ = clusters()
    z = np.asarray(Bright()(real), np.float64)
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True)).max(axis=1)

    def score(name, **settings):
        return np.asarray(cganjax.calibrate(name, Bright(), real, **settings).score(real))

    assert_allclose(score("msp"), 1 - p, rtol=1e-3)
    assert_allclose(score("max_logit"), -z.max(axis=1), rtol=1e-5)
    assert_allclose(score("energy"), -logsumexp(z, axis=1), rtol=1e-5)
    assert_allclose(score("energy", temperature=2.0), -2 * logsumexp(z / 2, axis=1), rtol=1e-5)
    at = np.exp(z / 1000 - logsumexp(z / 1000, axis=1, keepdims=True)).max(axis=1)
    assert_allclose(score("odin", magnitude=0.0), 1 - at, rtol=1e-5)
    assert np.all(score("odin") < 1 - at)  # the step raises the highest logit
    sigmoids = cganjax.calibrate("energy", Sigmoids(), real)
    assert_allclose(sigmoids.score(real), -np.log1p(np.exp(z - 6)).sum(axis=1), rtol=1e-4)


def test_mahalanobis_and_knn_against_scipy_and_scikit_learn():
    from scipy.spatial.distance import cdist
    from sklearn.neighbors import NearestNeighbors

    real, labels = clusters()
    taught, x = real[::2].reshape(-1, 4).astype(np.float64), real.reshape(-1, 4).astype(np.float64)
    means = np.stack([taught[labels[::2] == k].mean(axis=0) for k in range(3)])
    covariance = np.cov((taught - means[labels[::2]]).T, bias=True)
    want = cdist(x, means, "mahalanobis", VI=np.linalg.inv(covariance)).min(axis=1) ** 2
    found = cganjax.calibrate("mahalanobis", Bright(), real, labels=labels).score(real)
    assert_allclose(found, want, rtol=1e-2, atol=1e-2)
    on_sphere = cganjax.calibrate("mahalanobis", Bright(), real, labels=labels, unit=True)
    assert_allclose(on_sphere.score(0.5 * real), on_sphere.score(real), rtol=1e-2, atol=1e-2)  # length tells nothing
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (taught, x)]
    want = NearestNeighbors(n_neighbors=5).fit(unit[0]).kneighbors(unit[1])[0][:, -1]
    assert_allclose(cganjax.calibrate("knn", Bright(), real, k=5).score(real), want, atol=1e-3)


def test_a_model_on_numpy_arrays_serves_too():
    real, _ = clusters()
    detector = cganjax.calibrate("msp", probabilities, real, scores="probabilities")
    want = cganjax.calibrate("msp", Bright(), real)
    assert_allclose(detector.score(OUTLIER), want.score(OUTLIER), atol=1e-5)
    assert_allclose(detector.threshold, want.threshold, atol=1e-5)


def test_figures_by_hand():
    found = detectors.figures(np.arange(100.0), np.array([50.5, 98.5, 200.0, 300.0]))
    assert_allclose(found["auroc"], (51 + 99 + 100 + 100) / 400)
    assert_allclose(found["fpr95"], 1 / 4)  # 95 of the 100 are at most 94
    assert_allclose(found["aupr"], (1 + 1 + 3 / 4 + 4 / 53) / 4, rtol=1e-6)


BAD = {
    "unknown": (dict(name="mps"), ValueError, "unknown detector 'mps': known are energy, knn"),
    "kind": (dict(name="max_sigmoid"), ValueError, "takes sigmoid, and the classifier gives logits: take energy"),
    "accept": (dict(accept=95), ValueError, "accept is 95: expected a number above 0, below 1"),
    "one image": (dict(real_images=INLIER), ValueError, "1 real images were given"),
    "range": (dict(real_images=clusters()[0] * 255), ValueError, "look like 0..255"),
    "signed": (dict(real_images=clusters()[0] * 2 - 1), ValueError, r"look like \[-1, 1\]"),
    "nan": (dict(real_images=clusters()[0] * np.nan), ValueError, "they hold NaN"),
    "shape": (dict(real_images=np.zeros((3, 4))), ValueError, r"shape \(3, 4\): expected \[N, H, W, C\]"),
    "labels": (dict(labels=[1, 2]), ValueError, r"400 real images and 2 labels were given"),
    "features": (dict(name="knn", classifier=probabilities), TypeError, "has no .features"),
    "setting": (dict(temprature=2), TypeError, "detector msp has no setting 'temprature': it has none"),
    "temperature": (dict(name="energy", temperature=-1), ValueError, "temperature is -1: expected a number above 0"),
    "k": (dict(name="knn", k=0), ValueError, "k is 0: expected a whole number"),
    "share in words": (dict(accept="x"), ValueError, "accept is 'x'"),
    "one label": (dict(labels=3), ValueError, r"labels\[0\] is 3: expected an integer from 0 to 2"),
    "covariance": (dict(name="mahalanobis", real_images=clusters(2)[0]), ValueError, "learns a covariance of"),
    "scores": (dict(scores="odds"), ValueError, "expected one of logits, sigmoid, probabilities"),
    "not finite": (dict(classifier=lambda x: np.full((len(x), 3), np.nan)), ValueError, "gives NaN or infinity"),
    "few": (dict(name="knn", real_images=clusters(8)[0]), ValueError, "knn takes neighbour number 10"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case):
    changed, error, message = BAD[case]
    given = {"name": "msp", "classifier": Bright(), "real_images": clusters()[0]} | changed
    with pytest.raises(error, match=message):
        cganjax.calibrate(given.pop("name"), given.pop("classifier"), given.pop("real_images"), **given)


@pytest.mark.parametrize("wrong", [lambda x: x * 255, lambda x: x * np.nan, lambda x: x * 2 - 1])
def test_a_detector_refuses_what_are_no_images_in_0_1(wrong):
    detector = cganjax.calibrate("msp", Bright(), clusters()[0])
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        detector.rejects(wrong(clusters()[0]))


def test_a_shipped_threshold_is_the_calibrated_one(data_dir):
    classifier = sampling.load_classifier("lenet5")
    test = data.load("mnist", "test", data_dir)
    real = pixels.rest_to_unit(test.images[:5000])
    for name in ("msp", "energy"):
        made, kept = cganjax.calibrate(name, classifier, real), detectors.from_card(name, classifier)
        assert_allclose(kept.threshold, made.threshold, rtol=1e-3)
        assert_allclose(kept.score(real[:5]), made.score(real[:5]), rtol=1e-4)
    with pytest.raises(ValueError, match="has thresholds for energy, max_logit, msp, odin, and detector knn"):
        detectors.from_card("knn", classifier)


# Values of the literature are in docs/results/decoys.md. Uniform noise gives lenet5's 84 rectified features a fifth of
# their length, so that Mahalanobis distinguishes it less well than the others do.
@pytest.mark.parametrize("name", FITTING["logits"])
def test_detectors_on_real_digits_against_characters_and_noise(name, data_dir):
    if not (data_dir / "kmnist").is_dir():
        pytest.skip("no KMNIST beside MNIST")
    classifier = sampling.load_classifier("lenet5")
    test = data.load("mnist", "test", data_dir)
    real = pixels.rest_to_unit(test.images)
    strange = pixels.rest_to_unit(data.load("kmnist", "test", data_dir).images[:1000])
    noise = np.random.default_rng(0).uniform(0, 1, (1000, 28, 28, 1)).astype(np.float32)
    detector = cganjax.calibrate(name, classifier, real[:3000], labels=test.labels[:3000])
    inside = np.asarray(detector.score(real[5000:7000]))
    assert abs(np.mean(inside > detector.threshold) - 0.05) < 0.03
    for images, least in ((strange, 0.9), (noise, 0.8 if name == "mahalanobis" else 0.95)):
        assert detectors.figures(inside, np.asarray(detector.score(images)))["auroc"] > least


# --- what calibrate refuses, and what fits ----------------------------------------------------------------------------


def softmax_of(images):
    return np.asarray(jax.nn.softmax(Bright()(images)))


def sigmoids_of(images):
    return np.asarray(jax.nn.sigmoid(Sigmoids()(images)))


WRONG_KIND = {
    "logits as probabilities": (
        Bright(),
        "probabilities",
        r"gives outputs in \[.*expected \[0, 1\], or scores=.logits",
    ),
    "sigmoids as probabilities": (
        sigmoids_of,
        "probabilities",
        r"sum to .* expected 1; if it has one sigmoid per class, give",
    ),
    "probabilities as logits": (softmax_of, "logits", 'said to be logits: give scores="probabilities"'),
    "sigmoids as their logits": (sigmoids_of, "sigmoid", "give them before the sigmoid"),
}


@pytest.mark.parametrize("case", WRONG_KIND)
def test_outputs_that_cannot_be_what_they_were_said_to_be_are_refused(case):
    classifier, kind, message = WRONG_KIND[case]
    real, _ = clusters()
    with pytest.raises(ValueError, match=message):
        cganjax.calibrate("max_sigmoid" if kind == "sigmoid" else "msp", classifier, real, scores=kind)


def test_probabilities_of_half_precision_are_taken():
    real, _ = clusters()
    detector = cganjax.calibrate("msp", lambda x: softmax_of(x).astype(np.float16), real, scores="probabilities")
    assert bool(detector.rejects(OUTLIER)[0]) and not bool(detector.rejects(INLIER)[0])


class Shaped(Bright):
    image_shape = (2, 2, 1)


class ShapedSigmoids(Sigmoids):
    image_shape = (2, 2, 1)


@pytest.mark.parametrize(
    ("classifier", "given", "want"),
    [
        (Shaped(), {}, ["msp", "energy", "knn", "mahalanobis", "max_logit", "odin"]),
        (Bright(), {}, ["msp", "energy", "knn", "mahalanobis", "max_logit"]),
        (Bright(), {"shape": (2, 2, 1)}, ["msp", "energy", "knn", "mahalanobis", "max_logit", "odin"]),
        (ShapedSigmoids(), {}, ["max_sigmoid", "energy", "knn", "mahalanobis", "max_logit"]),
        (softmax_of, {"scores": "probabilities"}, ["msp"]),
        (lambda x: np.asarray(Bright()(x)), {"shape": (2, 2, 1)}, ["msp", "energy", "max_logit"]),
    ],
    ids=["logits", "no shape", "shape", "sigmoid", "probabilities", "untraceable"],
)
def test_fitting_names_what_calibrate_can_make_the_confidence_first(classifier, given, want):
    assert detectors.fitting(classifier, **given) == want
    real, labels = clusters()
    for name in want:
        cganjax.calibrate(name, classifier, real, labels=labels, scores=given.get("scores"))


def test_mahalanobis_as_scikit_learn_has_it_on_lenet5(data_dir):
    from sklearn.covariance import EmpiricalCovariance

    classifier = sampling.load_classifier("lenet5")
    test = data.load("mnist", "test", data_dir)
    real, labels = pixels.rest_to_unit(test.images[:2000]), test.labels[:2000]
    taught, x = (np.asarray(classifier.features(r), np.float64) for r in (real[::2], real[:200]))
    means = np.stack([taught[labels[::2] == k].mean(axis=0) for k in range(10)])
    tied = EmpiricalCovariance(assume_centered=True).fit(taught - means[labels[::2]])
    # `mahalanobis` of scikit-learn is a squared distance to its location.
    want = []
    for mean in means:
        tied.location_ = mean
        want.append(tied.mahalanobis(x))
    found = cganjax.calibrate("mahalanobis", classifier, real, labels=labels).score(real[:200])
    assert_allclose(found, np.min(want, axis=0), rtol=0.03)
