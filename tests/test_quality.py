"""The figures of benchmarks.quality against closed forms and a count by hand."""

import numpy as np
from numpy.testing import assert_allclose

from benchmarks import quality


def test_frechet_of_equal_covariances_is_the_squared_distance_of_means():
    x = np.random.default_rng(0).normal(size=(500, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    shift = np.arange(6.0)
    assert_allclose(quality.frechet(x, x + shift), np.sum(shift**2), rtol=1e-6)
    assert abs(quality.frechet(x, x)) < 1e-6


def test_frechet_of_scaled_axes_adds_squared_differences_of_deviations():
    # Orthogonal columns make both covariances diagonal: the distance is sum (s_a - s_b)^2.
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 5)))
    x = q - q.mean(0)
    x, _ = np.linalg.qr(x)
    a, b = np.array([1.0, 2, 3, 4, 5]) * 20, np.array([2.0, 2, 1, 4, 9]) * 20
    std = x.std(0, ddof=1)
    assert_allclose(quality.frechet(x * a, x * b), np.sum((std * (a - b)) ** 2), rtol=1e-6)


def test_prdc_against_a_count_by_hand(monkeypatch):
    monkeypatch.setattr(quality, "K_NEAREST", 1)
    real = np.array([[0.0], [1.0], [5.0]])  # distance to the nearest other: 1, 1, 4
    fake = np.array([[0.5], [4.0], [20.0]])  # 3.5, 3.5, 16
    # 0.5 lies in the balls of 0 and 1; 4 in that of 5; 20 in none.
    got = quality.prdc(real, fake)
    assert_allclose(got["precision"], 2 / 3)
    assert_allclose(got["density"], 3 / 3)
    # Around the fakes: 0.5 +- 3.5 holds 0 and 1; 4 +- 3.5 holds 1 and 5.
    assert_allclose(got["recall"], 3 / 3)
    # Each real ball holds a fake: 0 and 1 hold 0.5, 5 holds 4.
    assert_allclose(got["coverage"], 3 / 3)
    far = quality.prdc(real, fake + 100)
    assert (far["precision"], far["density"], far["coverage"]) == (0, 0, 0)
