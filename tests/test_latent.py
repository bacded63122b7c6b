"""The latent space: points between latents and classes, handwriting, and the command that shows them."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import cganjax
from cganjax import sampling
from cganjax.commands import interpolate
from cganjax.evaluation import latent
from cganjax.evaluation.metrics import handwriting
from cganjax.types import UserError

KEY = jax.random.key(0)


@pytest.mark.parametrize("checkpoint", ["mnist", "label-score"])
def test_a_class_alone_is_that_class_and_a_mixture_is_neither(checkpoint):
    generator = cganjax.load(checkpoint)
    z, labels = jax.random.normal(KEY, (40, generator.latent_size)), np.arange(40) % 10  # more than one piece
    alone = generator.between(z, np.eye(10)[labels])
    assert_allclose(alone, generator(z, labels), atol=1e-5)
    half = generator.between(z, 0.5 * np.eye(10)[labels] + 0.5 * np.eye(10)[(labels + 1) % 10])
    other = generator(z, (labels + 1) % 10)
    assert all(np.abs(np.asarray(half) - np.asarray(end)).max(axis=(1, 2, 3)).min() > 0.01 for end in (alone, other))


def test_between_refuses_what_it_cannot_place():
    generator = cganjax.load("mnist")
    z = np.zeros((2, generator.latent_size), np.float32)
    with pytest.raises(ValueError, match=r"weights have shape \(2,\): expected \[2, 10\]"):
        generator.between(z, [0, 1])
    with pytest.raises(ValueError, match=r"z has shape \(2, 3\)"):
        generator.between(z[:, :3], np.eye(10)[:2])
    with pytest.raises(ValueError, match=r"weights\[1\] sums to 0.5"):
        generator.between(z, np.eye(10)[:2] * [[1.0], [0.5]])
    with pytest.raises(ValueError, match=r"weights\[0, 0\] is nan"):
        generator.between(z, np.full((2, 10), np.nan))
    with pytest.raises(TypeError, match="unconditional"):
        dataclasses.replace(generator, num_classes=None).between(z, np.eye(10)[:2])


def test_the_way_between_latents_keeps_their_length():
    a, b = np.array([3.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0])
    way = np.array([latent.slerp(a, b, t) for t in (0, 0.25, 0.5, 1)])
    assert_allclose(np.linalg.norm(way, axis=1), 3.0)
    assert_allclose(way[[0, 2, 3]], [a, [4.5**0.5, 4.5**0.5, 0], b], atol=1e-12)
    assert_allclose(np.arctan2(way[1, 1], way[1, 0]), np.pi / 8)
    assert_allclose(latent.slerp(a, 2 * a, 0.5), 1.5 * a)  # no circle there


def bar(lean, thick=3):
    """A bar of 20 rows that moves `lean` columns to the right in each row upwards."""
    image = np.zeros((28, 28, 1))
    for row in range(4, 24):
        at = round(14 + lean * (13.5 - row))
        image[row, at - thick // 2 : at - thick // 2 + thick] = 1.0
    return image


def test_style_by_hand():
    found = handwriting.style(np.stack([bar(0.0), bar(0.5), bar(-0.5), bar(0.0, thick=5), np.zeros((28, 28, 1))]))
    assert_allclose(found[:, 0], [60 / 784, 60 / 784, 60 / 784, 100 / 784, 0])
    assert_allclose(found[:, 1], [0, 0.5, -0.5, 0, 0], atol=0.02)
    assert_allclose(found[[0, 3], 2], [(2 / 3) ** 0.5, 2**0.5])  # of 3 and of 5 columns
    with pytest.raises(ValueError, match="expected"):
        handwriting.style(np.zeros((28, 28)))


def test_a_shared_hand_correlates_and_a_latent_each_does_not():
    random = np.random.default_rng(0)
    hand, own = random.normal(size=(500, 1, 3)), random.normal(size=(500, 4, 3))
    together, apart = handwriting.correlations(hand + own), handwriting.correlations(own)
    assert list(together) == list(handwriting.STYLE)
    assert {len(pairs) for pairs in together.values()} == {6}
    assert_allclose([pairs.mean() for pairs in together.values()], 0.5, atol=0.08)
    assert_allclose([pairs.mean() for pairs in apart.values()], 0.0, atol=0.08)
    with pytest.raises(ValueError, match="expected"):
        handwriting.correlations(own[:, 0])
    alike = np.repeat(random.uniform(size=(1, 28, 28, 1)), 200, axis=0)  # the moments differ by rounding
    for collapsed in (handwriting.style(alike).reshape(100, 2, 3), np.full((5, 2, 3), np.nan)):
        with pytest.raises(ValueError, match="the same for all latents"):
            handwriting.correlations(collapsed)


def test_what_the_sheets_hold_fixed():
    """Ends of the ways, the one latent in all rows, the same latents under each truncation."""
    generator = cganjax.load("mnist")
    z, steps = np.asarray(jax.random.normal(KEY, (20, generator.latent_size))), latent.STEPS
    ways = np.asarray(latent.between_latents(generator, z)).reshape(10, steps, 28, 28, 1)
    assert_allclose(ways[:, [0, -1]].reshape(20, 28, 28, 1), generator(z, np.repeat(np.arange(10), 2)), atol=1e-5)
    rows = np.asarray(latent.between_classes(generator, z[:1])).reshape(10, steps, 28, 28, 1)
    assert_allclose(rows[:, -1], np.roll(rows[:, 0], -1, axis=0), atol=1e-5)  # a row ends where the next begins
    one = np.asarray(latent.one_latent_each_row(generator, z[:2])).reshape(2, 10, 28, 28, 1)
    assert_allclose(one[:, 3], generator(z[:2], [3, 3]), atol=1e-5)
    assert_allclose(one[0], rows[:, 0], atol=1e-5)
    sheet = latent.truncated(generator, z[:4], [0.5, 1.0])
    assert_allclose(sheet, [generator(size * z[:4], [2, 2, 7, 7]) for size in (0.5, 1)], atol=1e-5)


def test_interpolate_draws_and_measures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interpolate, "LATENTS", 20)
    settings = ["--backend", "cpu", "--out", str(tmp_path / "latent"), "--truncations", "1", "0.5"]
    assert interpolate.main([*settings, "--samples", "1000"]) == 0
    said = capsys.readouterr().out
    names = {
        "latents.png",
        "classes.png",
        "handwriting.png",
        "truncation.png",
        "handwriting.csv",
        "truncation.csv",
        "truncation-curve.png",
    }
    assert {p.name for p in (tmp_path / "latent").iterdir()} == names and all(name in said for name in names)
    with (tmp_path / "latent/truncation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["truncation"]) for row in rows] == [0.5, 1.0]
    assert float(rows[0]["recall"]) < float(rows[1]["recall"])  # less varied
    with (tmp_path / "latent/handwriting.csv").open() as file:
        shared, own = csv.DictReader(file)
    assert float(shared["slant"]) > float(own["slant"]) and shared["n"] == "20"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    {
        "truncation": (["--truncations", "0"], "--truncations has 0.0: give numbers in (0, 1]"),
        "samples": (["--samples", "5"], "--samples is 5: give at least 1000, or 0"),
    }.values(),
    ids=["truncation", "samples"],
)
def test_interpolate_says_what_is_wrong(wrong, sentence, tmp_path):
    with pytest.raises(UserError) as error:
        interpolate.main([*wrong, "--backend", "cpu", "--out", str(tmp_path / "out")])
    assert sentence in str(error.value) and not (tmp_path / "out").exists()


def test_interpolate_needs_classes(monkeypatch, tmp_path):
    unconditional = dataclasses.replace(cganjax.load("mnist"), num_classes=None)
    monkeypatch.setattr(sampling, "load", lambda name: unconditional)
    with pytest.raises(UserError, match="mine has no classes to go between: give a conditional generator"):
        interpolate.main(["mine", "--backend", "cpu", "--out", str(tmp_path / "out")])


def test_interpolate_refuses_to_measure_what_the_extractor_does_not_know(monkeypatch, tmp_path):
    letters = dataclasses.replace(cganjax.load("mnist"), num_classes=26)
    monkeypatch.setattr(sampling, "load", lambda name: letters)
    with pytest.raises(UserError, match="letters knows 26 classes, digits-v1 10"):
        interpolate.main(["letters", "--backend", "cpu", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_interpolate_says_when_images_cannot_be_measured(monkeypatch, tmp_path):
    dead = dataclasses.replace(cganjax.load("mnist"), apply=lambda weights, z, labels: jnp.zeros((len(z), 28, 28, 1)))
    monkeypatch.setattr(sampling, "load", lambda name: dead)
    with pytest.raises(UserError, match="dead cannot be measured .*the same for all latents.*--samples 0 draws"):
        interpolate.main(["dead", "--backend", "cpu", "--out", str(tmp_path / "out")])


def test_interpolate_shows_errors_of_ours_as_they_are(monkeypatch, tmp_path):
    def fail(*args):
        raise ValueError("a bug")

    monkeypatch.setattr(interpolate, "handwriting", fail)
    with pytest.raises(ValueError, match="a bug"):
        interpolate.main(["--backend", "cpu", "--out", str(tmp_path / "out")])
