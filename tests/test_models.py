"""Each network family against one table of contracts: shapes, parameters, gradients, independence in the batch."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import cganjax
from cganjax import checkpoint, models, recipes
from cganjax.data import known
from cganjax.models import Settings, depth_to_space
from cganjax.spec import ImageSpec
from cganjax.training import config as cfg
from cganjax.types import UserError, Weights

# recipe -> parameters of G and of D by layer, counted by hand: (inputs + 1) * outputs, no bias in an embedding
COUNTS = {
    "mnist": (
        {
            "Embed_0": 10 * 64,
            "Dense_0": 129 * 256,
            "Dense_1": 257 * 3136,
            "Conv_0": (9 * 64 + 1) * 128,
            "Conv_1": (9 * 32 + 1) * 64,
            "Conv_2": (9 * 64 + 1) * 4,
        },
        {
            "Conv_0": (9 * 4 + 1) * 32,
            "Conv_1": (9 * 128 + 1) * 64,
            "Conv_2": (9 * 64 + 1) * 64,
            "Dense_0": (3136 + 1) * 256,
            "Embed_0": 10 * 256,
            "Dense_1": 256,
        },
    ),
}


@pytest.mark.parametrize("recipe", COUNTS)
def test_parameter_counts_by_layer(recipe):
    config = recipes.load(recipe)
    networks = models.build(config, known.KNOWN[config.dataset])
    for network, want in zip((networks.generator, networks.discriminator), COUNTS[recipe], strict=True):
        params = jax.eval_shape(network.init, jax.random.key(0)).params
        count = {name: sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(layer)) for name, layer in params.items()}
        assert count == want


# --- a table of families: the smallest settings of each, on images that have little in common -------------------------

ANY_SHAPE = {
    "depth_to_space": Settings(
        "depth_to_space",
        generator={"latent_size": 5, "embedding": 3, "hidden": 8, "width_7": 4, "width_14": 6},
        discriminator={"width_14": 3, "width_7": 4, "hidden": 8},
    ),
    "all_cnn": Settings("all_cnn", classifier={"width": 4}),
    "cnn": Settings("cnn", classifier={"width_14": 4, "width_7": 5, "hidden": 8}),
    "mlp": Settings("mlp", classifier={"hidden": 8, "depth": 2}),
    "residual": Settings("residual", classifier={"width": 4, "blocks": 1}),
    "wide_cnn": Settings("wide_cnn", classifier={"width_14": 4, "width_7": 5, "hidden": 8}),
}
GREY, COLOUR = ImageSpec.numbered(28, 28, 1, 10), ImageSpec(32, 32, 3, ("bird", "cat", "dog", "ship"))
ODD = ImageSpec(20, 12, 1, ("left", "right", "both"))
# The five published systems, and the only images that each is built for.
PUBLISHED = {
    "label_map": (28, 28, 1),
    "label_score": (28, 28, 1),
    "lenet5": (28, 28, 1),
    "mlp_gan": (28, 28, 1),
    "pattern_1010": (1, 4, 1),
}
SUBJECTS = [(name, spec) for name in ANY_SHAPE for spec in (GREY, COLOUR)] + [("depth_to_space", ODD)]
N = 6
subjects = pytest.mark.parametrize("name, spec", SUBJECTS, ids=lambda value: str(value).replace(", ", "-"))


class Seen(NamedTuple):
    """What one compiled program shows of the networks of a family."""

    networks: models.Networks
    weights: dict  # role -> Weights
    inputs: dict  # role -> what the network is called with
    outputs: dict  # role -> its output for all inputs
    others: dict  # role -> its output where all inputs but the first are other ones
    gradient: Any  # in every parameter


@pytest.fixture(scope="module")
def seen():
    found = {}

    def look(name, spec):
        if (name, spec) not in found:
            found[name, spec] = _look(ANY_SHAPE[name], spec)
        return found[name, spec]

    return look


def _look(settings, spec):
    networks = models.build(settings, spec)
    roles = {role: getattr(networks, role) for role in ("generator", "discriminator", "classifier")}
    roles = {role: network for role, network in roles.items() if network}
    labels = jnp.arange(N, dtype=jnp.int32) % spec.num_classes
    images = jax.random.uniform(jax.random.key(1), (N, *spec.shape))
    inputs = {"classifier": (images,), "discriminator": (2 * images - 1, labels)}
    if networks.generator:
        inputs["generator"] = (jax.random.normal(jax.random.key(2), (N, networks.latent_size)), labels)

    @jax.jit
    def program(weights, inputs):
        outputs = {role: network.apply(weights[role], *inputs[role]) for role, network in roles.items()}

        def loss(params):
            def train(role, *arguments):
                weights_of = Weights(params[role], weights[role].statistics)
                return roles[role].train(weights_of, jax.random.key(0), *arguments)[0]

            if "classifier" in roles:
                logs = jax.nn.log_softmax(train("classifier", *inputs["classifier"]))
                return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1))
            return train("discriminator", train("generator", *inputs["generator"]), labels).sum()

        return outputs, jax.grad(loss)({role: w.params for role, w in weights.items()})

    weights = {role: some_weights(network) for role, network in roles.items()}
    inputs = {role: inputs[role] for role in roles}
    outputs, gradient = program(weights, inputs)
    others, _ = program(weights, jax.tree.map(lambda x: jnp.concatenate([x[:1], x[:0:-1]]), inputs))
    return Seen(networks, weights, inputs, outputs, others, gradient)


def some_weights(network):
    """Weights of the shapes that `init` gives, drawn by NumPy: compiling `init` takes longer than all else here."""
    draw = np.random.default_rng(0)

    def one(path, leaf):
        kind = path[-1].key
        if kind == "kernel":
            return draw.normal(0, (2 / np.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        if kind == "embedding":
            return draw.normal(0, 1, leaf.shape).astype(np.float32)
        center = 1.0 if kind in ("scale", "var") else 0.0
        return draw.uniform(center - 0.1, center + 0.1, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(one, jax.eval_shape(network.init, jax.random.key(0)))


def test_the_table_has_every_family():
    assert {*ANY_SHAPE, *PUBLISHED} == models.FAMILIES.keys()
    for name, family in models.FAMILIES.items():
        kinds = [
            getattr(family, kind) for kind in ("Generator", "Discriminator", "Classifier") if hasattr(family, kind)
        ]
        own = {key for kind in kinds for key in kind.__annotations__} - {"num_classes", "shape", "name", "parent"}
        assert family.SETTINGS.keys() == own | ({"latent_size"} if hasattr(family, "Generator") else set()), name


# The other families' initial weights are looked at in test_algorithms.py: compiling them takes long.
@pytest.mark.parametrize("name", ["mlp", "residual", "wide_cnn"])
def test_initial_weights_are_finite_and_differ_between_keys(name):
    networks = models.build(ANY_SHAPE[name], ImageSpec.numbered(4, 8, 3, 2))
    network = networks.generator or networks.classifier
    weights = jax.jit(jax.vmap(network.init))(jnp.stack([jax.random.key(0), jax.random.key(1)]))
    for path, leaf in jax.tree_util.tree_leaves_with_path(weights.params):
        first, second = leaf
        assert np.isfinite(leaf).all(), path
        assert (np.abs(first - second).max() > 0) == (path[-1].key in ("kernel", "embedding")), path


@subjects
def test_shapes_and_ranges(seen, name, spec):
    found = seen(name, spec)
    shapes = {"generator": (N, *spec.shape), "discriminator": (N,), "classifier": (N, spec.num_classes)}
    for role, output in found.outputs.items():
        assert output.shape == shapes[role] and output.dtype == jnp.float32
        assert np.isfinite(output).all() and np.std(output) > 0
    if "generator" in found.outputs:
        assert np.abs(found.outputs["generator"]).max() <= 1.0
    assert found.networks.spec == spec and found.networks.num_classes == spec.num_classes


@subjects
def test_each_image_decides_its_own_output(seen, name, spec):
    found = seen(name, spec)
    for role, output in found.outputs.items():
        assert_allclose(found.others[role][0], output[0], atol=1e-5)
        assert np.abs(found.others[role][1] - output[1]).max() > 1e-5


@subjects
def test_every_parameter_gets_a_finite_gradient(seen, name, spec):
    for path, leaf in jax.tree_util.tree_leaves_with_path(seen(name, spec).gradient):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path


@subjects
def test_a_shipped_checkpoint_gives_the_same_network(seen, name, spec, tmp_path):
    """Through files, `cganjax.load...` and `jax.jit`; with the spec and its names of classes."""
    found = seen(name, spec)
    data = {"name": "mine", "num_classes": spec.num_classes, "spec": spec.to_json()}
    card = {"name": "mine", "roles": [*found.weights], "config": ANY_SHAPE[name]._asdict(), "data": data}
    checkpoint.write_shipped(tmp_path, card, jax.tree.map(np.asarray, found.weights))
    loads = {
        "generator": cganjax.load,
        "discriminator": cganjax.load_discriminator,
        "classifier": cganjax.load_classifier,
    }
    for role, output in found.outputs.items():
        loaded = loads[role](tmp_path)
        assert loaded.spec == spec and loaded.image_shape == spec.shape
        inputs, want = found.inputs[role], output
        if role == "generator":
            want = 0.5 * output + 0.5  # the public functions have images in [0, 1]
        if role == "discriminator":
            inputs = (0.5 * inputs[0] + 0.5, inputs[1])
        assert_allclose(jax.jit(loaded)(*inputs), want, atol=1e-5)


@pytest.mark.parametrize("spec", [GREY, COLOUR, ODD], ids=str)
def test_the_label_matters_to_generator_and_discriminator(seen, spec):
    found = seen("depth_to_space", spec)
    g, d = found.networks.generator, found.networks.discriminator
    labels, z = jnp.array([2, 1]), jnp.ones((2, found.networks.latent_size))
    images = g.apply(found.weights["generator"], z, labels)
    assert float(jnp.abs(images[0] - images[1]).max()) > 1e-3
    scores = d.apply(found.weights["discriminator"], jnp.stack([images[0], images[0]]), labels)
    assert abs(float(scores[0] - scores[1])) > 1e-4


# --- which images a family can be built for ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANY_SHAPE)
@pytest.mark.parametrize("classes", [2, 1000])
def test_two_to_a_thousand_classes(name, classes):
    spec = ImageSpec.numbered(8, 16, 3, classes)
    assert models.build(ANY_SHAPE[name], spec).num_classes == classes


@pytest.mark.parametrize("name", ANY_SHAPE)
@pytest.mark.parametrize(
    "spec, said",
    [
        (ImageSpec.numbered(28, 28, 1, 1), "28x28x1, 1 classes: it supports 2 to 1,000 classes"),
        (ImageSpec.numbered(28, 28, 1, 1001), "28x28x1, 1001 classes: it supports 2 to 1,000 classes"),
        (ImageSpec.numbered(30, 28, 1, 10), "30x28x1, 10 classes: it supports a height and a width divisible by 4"),
        (ImageSpec.numbered(28, 29, 1, 10), "28x29x1, 10 classes: it supports a height and a width divisible by 4"),
    ],
)
def test_other_images_are_refused_with_one_sentence(name, spec, said):
    if name == "mlp" and "divisible" in said:
        assert models.build(ANY_SHAPE[name], spec).image_shape == spec.shape
        return
    with pytest.raises(UserError, match=f"^family {name} cannot be built for images of {said}; choose another family"):
        models.build(ANY_SHAPE[name], spec)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_system_has_its_exact_size(name):
    config, shape = recipes.load(name), PUBLISHED[name]
    spec = known.KNOWN[config.dataset]
    assert spec.shape == shape
    networks = models.build(config, spec)
    labels = None if networks.num_classes is None else jax.ShapeDtypeStruct((2,), jnp.int32)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    for role in ("generator", "discriminator", "classifier"):
        if (network := getattr(networks, role)) is None:
            continue
        x = jax.ShapeDtypeStruct((2, networks.latent_size), jnp.float32) if role == "generator" else images
        weights = jax.eval_shape(network.init, jax.random.key(0))
        output = jax.eval_shape(network.apply, weights, x, None if role == "classifier" else labels)
        assert output.shape[1:] == (shape if role == "generator" else output.shape[1:2])
    for other in (COLOUR, ODD):
        size = "x".join(map(str, shape))
        with pytest.raises(UserError, match=f"^family {name} cannot be built for images of {other}: .* {size} only; "):
            models.build(config, other)


def test_a_family_of_the_other_kind_is_refused_with_those_that_fit():
    classifier = dataclasses.replace(recipes.load("lenet5"), family="depth_to_space")
    with pytest.raises(UserError, match=r"depth_to_space builds no classifiers: .* \(all_cnn, cnn, .*wide_cnn\)"):
        models.build(classifier, GREY)
    generator = dataclasses.replace(recipes.load("mnist"), family="cnn")
    with pytest.raises(UserError, match=r"cnn builds no generators: .* \(depth_to_space, label_map, "):
        models.build(generator, GREY)


def test_depth_to_space_places_each_channel_and_is_undone():
    x = jnp.arange(2 * 3 * 3 * 8, dtype=jnp.float32).reshape(2, 3, 3, 8)
    y = depth_to_space.depth_to_space(x)
    assert y.shape == (2, 6, 6, 2)
    assert_allclose(y[1, 2 * 2 + 1, 2 * 0 + 1], x[1, 2, 0, 6:8])  # lower right pixel: the last group of channels
    assert_allclose(depth_to_space.space_to_depth(y), x)


def test_unknown_family_and_setting_are_refused():
    with pytest.raises(UserError, match="known are " + ", ".join(models.FAMILIES)):
        models.build(cfg.override(recipes.load("mnist"), ["family=nonsense"]), known.KNOWN["mnist"])
    with pytest.raises(UserError, match="do not fit"):
        models.build(
            dataclasses.replace(recipes.load("mnist"), generator={"latent_size": 4, "depth": 3}), known.KNOWN["mnist"]
        )
