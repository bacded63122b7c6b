"""`sample`, `load` and what they hand out, word for word as the documentation promises."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import digests, sampling
from cganjax.sampling import chunks
from cganjax.spec import ImageSpec
from cganjax.types import Weights

KEY = jax.random.key(7)
SPEC = ImageSpec.numbered(28, 28, 1, 10).to_json()


@pytest.fixture(scope="module")
def mnist():
    return cganjax.load("mnist")


@pytest.fixture(scope="module")
def unconditional(mnist):
    def apply(weights, z):
        return jnp.tanh(z * weights.params["w"][None])[:, :1, None, None] * jnp.ones((1, 2, 2, 1))

    spec = ImageSpec.numbered(2, 2, 1, 1)
    return sampling.Generator(Weights({"w": jnp.ones(3)}, {}), None, spec, {"name": "plain"}, apply, 3)


# --- images -----------------------------------------------------------------------------------------------------------


def test_latents_are_those_of_sample(mnist):
    labels = np.arange(9) % 10
    z = sampling.latents(KEY, 9, mnist.latent_size)
    assert z.shape == (9, mnist.latent_size) and z.dtype == jnp.float32
    assert_allclose(mnist(z, labels), cganjax.sample(KEY, labels), atol=1e-5)
    one_by_one = [jax.random.normal(jax.random.fold_in(KEY, i), (mnist.latent_size,)) for i in range(9)]
    assert_array_equal(z, one_by_one)
    assert_array_equal(sampling.latents(KEY, 4, mnist.latent_size, start=3), z[3:7])
    assert_array_equal(sampling.latents(jax.random.key_data(KEY), 9, mnist.latent_size), z)  # a legacy key


def test_shape_range_and_repeatability():
    images = cganjax.sample(KEY, [3, 1, 4, 1, 5])
    assert isinstance(images, jax.Array)
    assert (images.shape, images.dtype) == ((5, 28, 28, 1), jnp.float32)
    assert 0.0 <= float(images.min()) and float(images.max()) <= 1.0
    assert float(images.max()) > 0.9, "ink is 1"
    assert_array_equal(images[:, 0, 0, 0] < 0.1, True)
    assert_array_equal(images, cganjax.sample(KEY, [3, 1, 4, 1, 5]))
    assert float(jnp.abs(images[1] - images[3]).max()) > 0.2, "two images of one class differ"
    assert float(jnp.abs(images - cganjax.sample(jax.random.key(8), [3, 1, 4, 1, 5])).max()) > 0.2


def test_image_i_does_not_depend_on_other_labels():
    labels = np.arange(40) % 10
    every, other = cganjax.sample(KEY, labels), labels.copy()
    other[5:] = 0
    assert_array_equal(cganjax.sample(KEY, other)[:5], every[:5])


def test_latents_come_from_fold_in(mnist):
    z = jnp.stack([jax.random.normal(jax.random.fold_in(KEY, i), (mnist.latent_size,)) for i in range(3)])
    assert_allclose(mnist(z, jnp.array([5, 0, 9])), cganjax.sample(KEY, [5, 0, 9]), atol=2e-5)


@pytest.mark.parametrize(
    "labels", [[2], (2,), 2, np.int64(2), np.array([2], np.uint8), jnp.array([2]), range(2, 3), np.array(2)], ids=repr
)
def test_every_kind_of_integer_labels(labels):
    assert_array_equal(cganjax.sample(KEY, labels), cganjax.sample(KEY, [2]))


def test_a_million_labels_are_worked_in_pieces(unconditional):
    """With a generator of four pixels: what is held at once besides the result is one piece."""
    images = sampling.sample_from(unconditional, KEY, n=1_000_000)
    assert images.shape == (1_000_000, 2, 2, 1)
    assert_array_equal(images[:1024], sampling.sample_from(unconditional, KEY, n=1024))
    z = jax.random.normal(jax.random.fold_in(KEY, 999_999), (3,))
    assert_allclose(images[-1], unconditional(z[None])[0], atol=1e-6)


@pytest.mark.parametrize("labels", [np.zeros(0, object), [], (), np.zeros(0, int), jnp.zeros(0, jnp.int32)], ids=repr)
def test_no_labels_give_no_images(labels):
    assert cganjax.sample(KEY, labels).shape == (0, 28, 28, 1)


def test_keys_of_another_implementation_keep_images_apart():
    key = jax.random.key(7, impl="rbg")
    images = cganjax.sample(key, [1, 2, 3])
    assert_array_equal(images[:2], cganjax.sample(key, [1, 2]))
    assert_array_equal(images, cganjax.sample(KEY, [1, 2, 3]))
    keys = jax.random.split(key, 2)
    both = jax.vmap(lambda k: cganjax.sample(k, jnp.array([1, 2])))(keys)
    assert_allclose(both[1], cganjax.sample(keys[1], [1, 2]), atol=2e-5)


def test_legacy_keys_draw_the_same():
    assert_array_equal(cganjax.sample(jax.random.PRNGKey(7), [1, 2]), cganjax.sample(KEY, [1, 2]))


def test_float32_whatever_the_user_has_switched_on():
    code = """import jax, cganjax, numpy as np
images = cganjax.sample(jax.random.key(7), [3, 1])
assert images.dtype == np.float32, images.dtype
assert jax.jit(lambda t: cganjax.sample(jax.random.key(7), [3], truncation=t))(0.5).dtype == np.float32
np.save("x.npy", images)"""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"JAX_ENABLE_X64": "1", "PYTHONPATH": str(Path(cganjax.__file__).parents[1])}
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=env)
        assert_allclose(np.load(f"{folder}/x.npy"), cganjax.sample(KEY, [3, 1]), atol=2e-5)


def test_under_jit_vmap_and_grad(mnist):
    labels = jnp.array([0, 7])
    plain = cganjax.sample(KEY, labels)
    assert_allclose(jax.jit(cganjax.sample)(KEY, labels), plain, atol=2e-5)
    assert_allclose(jax.jit(lambda k: cganjax.sample(k, [0, 7]))(KEY), plain, atol=2e-5)
    keys = jax.random.split(KEY, 3)
    many = jax.vmap(lambda k: cganjax.sample(k, labels))(keys)
    assert_allclose(many[2], cganjax.sample(keys[2], labels), atol=2e-5)
    by_label = jax.vmap(lambda y: cganjax.sample(KEY, y))(labels)
    assert_allclose(by_label[1, 0], cganjax.sample(KEY, [7])[0], atol=2e-5)
    assert_allclose(jax.jit(lambda y: cganjax.sample(KEY, [y, 7]))(0), plain, atol=2e-5)

    def ink(truncation):
        return jnp.square(cganjax.sample(KEY, labels, truncation=truncation)).sum()

    h = 1e-3
    slope = (ink(0.7 + h) - ink(0.7 - h)) / (2 * h)
    assert_allclose(jax.grad(ink)(0.7), slope, rtol=0.05)
    z = jax.random.normal(KEY, (2, mnist.latent_size))
    gradient = jax.grad(lambda z: mnist(z, labels).sum())(z)
    assert gradient.shape == z.shape and 0 < float(jnp.abs(gradient).max()) < np.inf
    assert cganjax.load("mnist") is mnist, "the cache outlived the traces unharmed"


def test_a_checkpoint_that_is_first_read_within_a_trace_serves_outside_of_it(tmp_path):
    folder = copy_of_mnist(tmp_path)
    traced = jax.jit(lambda key: cganjax.sample(key, [2, 3], checkpoint=folder))(KEY)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(cganjax.load(folder).weights))
    assert_allclose(cganjax.sample(KEY, [2, 3], checkpoint=folder), traced, atol=2e-5)


def test_many_latents_are_worked_in_pieces_and_under_jit_in_one(mnist):
    labels = np.arange(150) % 10
    z = sampling.latents(KEY, 150, mnist.latent_size)
    images = mnist(z, labels)
    assert_allclose(images, jax.jit(mnist)(z, labels), atol=2e-5)
    assert_allclose(images, cganjax.sample(KEY, labels), atol=2e-5)


def test_truncation_brings_images_of_a_class_together():
    labels = np.full(200, 4)
    spread = [float(np.asarray(cganjax.sample(KEY, labels, truncation=t)).std(0).mean()) for t in (0.3, 0.7, 1.0)]
    assert spread[0] < spread[1] < spread[2]


def test_a_long_call_writes_every_piece_once(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNKS", (4,))
    labels = np.arange(10)
    pieces = cganjax.sample(KEY, labels)
    monkeypatch.undo()
    assert_allclose(pieces, cganjax.sample(KEY, labels), atol=2e-5)


def test_unconditional_takes_a_count_and_no_labels(unconditional):
    images = sampling.sample_from(unconditional, KEY, n=6)
    assert images.shape == (6, 2, 2, 1)
    assert_allclose(images[:2], sampling.sample_from(unconditional, KEY, n=2), atol=1e-6)
    with pytest.raises(TypeError, match="labels were given to an unconditional"):
        sampling.sample_from(unconditional, KEY, [1])
    with pytest.raises(TypeError, match="n is None: expected the number of images"):
        sampling.sample_from(unconditional, KEY)
    with pytest.raises(ValueError, match="n is -1"):
        sampling.sample_from(unconditional, KEY, n=-1)
    with pytest.raises(TypeError, match="unconditional"):
        unconditional(jnp.zeros((1, 3)), [1])
    assert unconditional(jnp.zeros((1, 3))).shape == (1, 2, 2, 1)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, said, arguments",
    [
        (ValueError, r"labels\[2\] is 10: expected an integer from 0 to 9", {"labels": [1, 2, 10]}),
        (ValueError, r"labels\[0\] is -1: expected an integer", {"labels": -1}),
        (ValueError, r"labels\[1\] is 9223372036854775807", {"labels": [0, 10**30]}),
        (ValueError, r"labels\[0\] is 12", {"labels": np.array([12, 1], object)}),
        (ValueError, "expected .N. or a single integer", {"labels": [[1, 2], [3, 4]]}),
        (ValueError, "lists of different lengths", {"labels": [[1], [2, 3]]}),
        (TypeError, "labels are float64: expected integers from 0 to 9", {"labels": [1.0, 2.0]}),
        (TypeError, "labels are bool", {"labels": [True]}),
        (TypeError, "expected integers", {"labels": "123"}),
        (TypeError, "expected integers", {"labels": [None]}),
        (TypeError, "labels are missing", {}),
        (TypeError, "conditional checkpoint: give labels", {"labels": [1], "n": 3}),
        (TypeError, "give labels", {"n": 3}),
        (ValueError, "truncation is 0", {"labels": [1], "truncation": 0}),
        (ValueError, "truncation is 1.5", {"labels": [1], "truncation": 1.5}),
        (ValueError, "truncation is nan", {"labels": [1], "truncation": float("nan")}),
        (TypeError, "truncation is 'x'", {"labels": [1], "truncation": "x"}),
        (ValueError, r"truncation has shape \(2,\)", {"labels": [1, 2], "truncation": np.ones(2)}),
        (TypeError, "key is int", {"key": 0, "labels": [1]}),
        (TypeError, r"of shape \(2,\): expected a single key", {"key": jax.random.split(KEY, 2), "labels": [1]}),
        (TypeError, "^checkpoint is int: expected a name, a path or a loaded Generator$", {"checkpoint": 3}),
        (TypeError, "^checkpoint is NoneType: expected a name, a path or", {"checkpoint": None}),
        (FileNotFoundError, "one of .*mnist", {"labels": [1], "checkpoint": "nmist"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments_say_what_was_given_and_expected(error, said, arguments):
    with pytest.raises(error, match=said):
        cganjax.sample(**{"key": KEY, **arguments})


def test_a_loaded_generator_is_a_checkpoint_too(mnist, unconditional):
    assert_array_equal(cganjax.sample(KEY, [1, 2], checkpoint=mnist), cganjax.sample(KEY, [1, 2]))
    assert cganjax.sample(KEY, n=3, checkpoint=unconditional).shape == (3, 2, 2, 1)
    with pytest.raises(TypeError, match="^checkpoint is Classifier: expected a name, a path or a loaded Generator$"):
        cganjax.sample(KEY, [1], checkpoint=cganjax.load_classifier("lenet5"))
    with pytest.raises(TypeError, match="^checkpoint is Generator: expected a name or a path$"):
        cganjax.load(mnist)


def test_a_traced_truncation_is_one_number_too():
    with pytest.raises(ValueError, match="truncation has shape"):
        jax.jit(lambda t: cganjax.sample(KEY, [1, 2], truncation=t))(jnp.ones(64))


def test_the_generator_shows_itself_in_a_line(mnist):
    assert len(repr(mnist)) < 200 and "latent_size=64" in repr(mnist)


def test_the_generator_checks_its_inputs(mnist):
    with pytest.raises(ValueError, match=r"expected \[N, 64\]"):
        mnist(jnp.zeros((2, 5)), [1, 2])
    with pytest.raises(ValueError, match="2 latents and 3 labels were given: expected one label per input"):
        mnist(jnp.zeros((2, 64)), [1, 2, 3])
    with pytest.raises(TypeError, match="labels are missing"):
        mnist(jnp.zeros((2, 64)))


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_the_shipped_checkpoint_and_its_card(mnist):
    card = cganjax.checkpoints()["mnist"]
    assert "generator" in card["roles"] and card["recipe"] == "mnist" and card["seed"] == 0
    assert {"data", "metrics", "versions", "config", "git", "steps"} <= card.keys()
    assert mnist.card == card
    assert (mnist.latent_size, mnist.num_classes, mnist.image_shape) == (64, 10, (28, 28, 1))
    assert sum((ckpt.find("mnist") / f).stat().st_size for f in ("weights.npz", "card.json")) <= 5 * 2**20
    with pytest.raises(cganjax.CheckpointError, match="holds no discriminator: .* one of label-score"):
        cganjax.load_discriminator("mnist")
    with pytest.raises(cganjax.CheckpointError, match="holds no generator: .*; it holds a classifier: use load_class"):
        cganjax.load("lenet5")


def change_card(folder, **values):
    """Change a card and its digest with it, as somebody does who means it."""
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(digests.sealed({**card, **values})))


def copy_of_mnist(folder):
    return shutil.copytree(ckpt.find("mnist"), folder / "copy")


def test_a_replaced_checkpoint_is_read_anew(tmp_path):
    folder = copy_of_mnist(tmp_path)
    before = cganjax.load(folder)
    assert cganjax.load(str(folder)) is before
    change_card(folder, seed=5)
    assert cganjax.load(folder).card["seed"] == 5


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda f: (f / "weights.npz").write_bytes((f / "weights.npz").read_bytes()[:-9]), "weights.npz is damaged"),
        (lambda f: (f / "weights.npz").unlink(), "weights.npz cannot be read"),
        (lambda f: (f / "card.json").write_text("{"), "card.json is damaged"),
        (lambda f: (f / "card.json").write_text("[]"), "card.json is damaged"),
        (lambda f: (f / "card.json").write_text('{"format": 99}'), "card.json is damaged: .* field `name`"),
        (lambda f: change_card(f, format=99), "card.json has the format 99, and this version reads 2 to 3"),
        (lambda f: (f / "card.json").unlink(), "is no checkpoint"),
        (lambda f: change_card(f, weights={}), r"required field `sha256` - at `\$.weights`"),
        (lambda f: change_card(f, weights={"sha256": "0"}), "weights.npz is damaged: its SHA-256 is not"),
        (lambda f: change_card(f, weights=3), r"card.json is damaged: Expected `object`, got `int` - at `\$.weights`"),
        (lambda f: change_card(f, data={}), r"card.json does not describe .*data has neither spec nor num_classes"),
        (
            lambda f: change_card(f, data={"name": "mnist", "spec": {"height": "28"}}),
            r"card.json is damaged: Expected `int`, got `str` - at `\$.data.spec.height`",
        ),
        (lambda f: change_card(f, data=None), r"card.json is damaged: .* got `null` - at `\$.data`"),
        (
            lambda f: change_card(f, data={"spec": SPEC | {"channels": 2}}),
            r"card.json does not describe .*data.spec: channels is 2: expected 1",
        ),
        (
            lambda f: change_card(f, data={"spec": SPEC | {"class_names": ["a", "a"]}}),
            r"data.spec: class_names\[1\] is 'a', as is an earlier name",
        ),
        (lambda f: change_card(f, data={"spec": SPEC | {"class_names": []}}), "data.spec: class_names is empty"),
        (lambda f: change_card(f, config={}), r"required field `family` - at `\$.config`"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, damage, said):
    folder = copy_of_mnist(tmp_path)
    assert cganjax.load(folder).latent_size == 64
    damage(folder)
    with pytest.raises(cganjax.CheckpointError, match=said):
        cganjax.load(folder)


def test_a_card_of_other_networks_is_refused(tmp_path):
    folder = copy_of_mnist(tmp_path)
    card = json.loads((folder / "card.json").read_text())
    for change, said in (
        ({"family": "nonsense"}, "unknown network family"),
        ({"generator": {**card["config"]["generator"], "hidden": 8}}, "do not fit its networks"),
        ({"generator": None}, "config.generator is None"),
        ({"generator": {}}, "config.generator is {}"),
        ({"family": "lenet5"}, "builds no generators"),
    ):
        change_card(folder, config={**card["config"], **change})
        with pytest.raises(cganjax.CheckpointError, match=said):
            cganjax.load(folder)


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"1234")
    with pytest.raises(cganjax.CheckpointError, match="is no checkpoint"):
        cganjax.load(tmp_path / "x.pt")
    with pytest.raises(cganjax.CheckpointError, match="is no checkpoint"):
        cganjax.load(tmp_path)


def test_weights_survive_the_array_file_bit_for_bit(tmp_path, tiny):
    config, networks = tiny
    params = {"generator": networks.generator.init(KEY)}
    card = {"name": "x", "roles": [], "config": {}, "num_classes": 10}
    ckpt.write_shipped(tmp_path, card, params)
    back = ckpt.read_weights(tmp_path, ckpt.read_card(tmp_path))
    jax.tree.map(assert_array_equal, back, params)
    first = (tmp_path / "weights.npz").read_bytes()
    ckpt.write_shipped(tmp_path, card, params)
    assert (tmp_path / "weights.npz").read_bytes() == first
