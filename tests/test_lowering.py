"""What compiles on a CPU also lowers for CUDA, TPU and ROCm, and generators lower for any batch size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import cganjax
from cganjax import checkpoint as ckpt
from cganjax import models, recipes, rng
from cganjax.data import known
from cganjax.decoys.attacks import objectives
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")
GENERATORS = [name for name, card in ckpt.checkpoints().items() if "generator" in card["roles"]]
# One recipe of each algorithm and family, made small: only shapes matter to lowering.
RECIPES = {
    "digits": [
        "generator.hidden=16",
        "discriminator.hidden=16",
        "penalty_fraction=0.5",
        "mismatch_fraction=0.5",
        "augment=0.4",
    ],
    "label_map": [],
    "label_score": [],
    "lenet5": [],
    "mlp_gan": [],
    "pattern_1010": [],
    "surrogate_robust": ["classifier.hidden=8", "adversary_steps=2"],
    "target_residual": ["classifier.width=4"],
}


def struct(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def lowers(function, *arguments):
    """Lower for all platforms; an error of one names it."""
    return export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)


@pytest.fixture
def any_size():
    return export.symbolic_shape("n")[0]


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_lowers_for_any_batch_size(name, any_size):
    generator = cganjax.load(name)
    shapes = struct(any_size, generator.latent_size), struct(any_size, dtype=jnp.int32)
    exported = lowers(lambda z, labels: generator(z, labels), *shapes)
    z, labels = np.ones((3, generator.latent_size), np.float32), np.arange(3, dtype=np.int32)
    read = export.deserialize(exported.serialize())
    np.testing.assert_allclose(read.call(z, labels), generator(z, labels), atol=2e-5)


def test_so_do_images_between_classes_samples_and_classifiers(any_size):
    generator, classifier = cganjax.load("mnist"), cganjax.load_classifier("lenet5")
    key, labels = jax.eval_shape(lambda: jax.random.key(0)), struct(any_size, dtype=jnp.int32)
    between = lowers(generator.between, struct(any_size, generator.latent_size), struct(any_size, 10))
    sampled = lowers(lambda key, labels: cganjax.sample(key, labels), key, labels)
    classified = lowers(lambda images: classifier(images), struct(any_size, 28, 28, 1))
    for exported, row in ((between, (28, 28, 1)), (sampled, (28, 28, 1)), (classified, (10,))):
        assert exported.out_avals[0].shape[1:] == row


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_step_lowers_for_every_platform(recipe):
    config = cfg.override(recipes.load(recipe), [*RECIPES[recipe], "batch_size=4"])
    networks = models.build(config, known.KNOWN[config.dataset])
    trainer, key = algorithms.build(config, networks), rng.root(0)
    batch = Batch(struct(4, *networks.image_shape, dtype=jnp.uint8), struct(4, dtype=jnp.int32))
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        state = jax.eval_shape(trainer.init, key)
        lowered = jax.jit(trainer.step).trace(key, state, batch).lower(lowering_platforms=PLATFORMS)
    assert lowered.as_text()


def test_the_gradient_of_an_attack_lowers_for_every_platform():
    classifier = cganjax.load_classifier("lenet5")
    goal = objectives.Goal((objectives.Held(classifier),), ("logits",), ("uniform",), keep=1.0)
    gradient = jax.grad(lambda images, labels: goal(images, labels).sum())
    assert lowers(gradient, struct(4, 28, 28, 1), struct(4, 1, dtype=jnp.int32)).out_avals[0].shape == (4, 28, 28, 1)
