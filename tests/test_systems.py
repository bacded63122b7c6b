"""The five systems: parameters by layer, and each forward pass against PyTorch's.

The originals' layers are built here from their published description. PyTorch is optional (pip install torch): without
it our outputs are compared with its recorded ones, and those of the smallest two with NumPy's.
"""

import importlib.util
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cganjax import models, recipes
from cganjax.data import known
from cganjax.models import convolution
from cganjax.types import Weights

KEY = jax.random.key(0)

# recipe -> parameters of each network by layer, in the order of the published listing; BatchNorm has scale and bias.
COUNTS = {
    "label_score": {
        "generator": {
            "Dense_0": 110 * 3136 + 3136,
            "BatchNorm_0": 2,
            "Conv_0": 9 * 50 + 50,
            "BatchNorm_1": 100,
            "Conv_1": 9 * 50 * 25 + 25,
            "BatchNorm_2": 50,
            "Conv_2": 4 * 25 + 1,
        },
        "discriminator": {"Conv_0": 832, "Conv_1": 51_264, "Dense_0": 3_212_288, "Dense_1": 10_250},
    },
    "label_map": {
        "generator": {
            "Dense_0": 110 * 3136 + 3136,
            "Conv_0": 9 * 50,
            "Conv_1": 9 * 50 * 250,
            "BatchNorm_0": 500,
            "Conv_2": 9 * 250 * 50,
            "BatchNorm_1": 100,
            "Conv_3": 9 * 50 * 25,
            "BatchNorm_2": 50,
            "Conv_4": 4 * 25,
        },
        "discriminator": {
            "Conv_0": 16 * 16 + 16,
            "Conv_1": 16 * 10 * 16 + 16,
            "Conv_2": 16 * 32 * 256 + 256,
            "Conv_3": 9 * 256 * 1024 + 1024,
            "BatchNorm_0": 2048,
            "Dense_0": 9216 * 2048 + 2048,
            "Dense_1": 2048 * 512 + 512,
            "Dense_2": 5130,
        },
    },
    "mlp_gan": {
        "generator": {
            "Dense_0": 12_928,
            "Dense_1": 33_024,
            "BatchNorm_0": 512,
            "Dense_2": 131_584,
            "BatchNorm_1": 1024,
            "Dense_3": 525_312,
            "BatchNorm_2": 2048,
            "Dense_4": 2_099_200,
            "BatchNorm_3": 4096,
            "Dense_5": 8_392_704,
            "BatchNorm_4": 8192,
            "Dense_6": 3_212_048,
        },
        "discriminator": {
            "Dense_0": 785 * 4096,
            "Dense_1": 4097 * 2048,
            "Dense_2": 2049 * 1024,
            "Dense_3": 1025 * 512,
            "Dense_4": 513 * 256,
            "Dense_5": 257,
        },
    },
    "pattern_1010": {"generator": {"Dense_0": 6, "Dense_1": 16}, "discriminator": {"Dense_0": 15, "Dense_1": 4}},
    "lenet5": {
        "classifier": {
            "ConvMaxPool_0": 156,
            "ConvMaxPool_1": 2_416,
            "Dense_0": 48_120,
            "Dense_1": 10_164,
            "Dense_2": 850,
        },
    },
}
TOTALS = {("label_score", "discriminator"): 3_274_634, ("lenet5", "classifier"): 61_706}
PARTS = [(name, part) for name, parts in COUNTS.items() for part in parts]


def build(name):
    return models.build(config := recipes.load(name), known.KNOWN[config.dataset])


def layers_of(name, part, weights):
    """The layers in the order of the forward pass."""
    return [(layer, weights.params[layer]) for layer in COUNTS[name][part]]


@pytest.mark.parametrize("name, part", PARTS)
def test_parameter_counts_by_layer(name, part):
    weights = jax.eval_shape(getattr(build(name), part).init, KEY)
    counts = {k: sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(v)) for k, v in weights.params.items()}
    assert counts == COUNTS[name][part]
    assert sum(counts.values()) == TOTALS.get((name, part), sum(counts.values()))


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_layers(name, part, nn):
    """The published modules in order; where PyTorch flattens [C, H, W], `permute` says the grid."""
    lrelu, bn2 = lambda: nn.LeakyReLU(0.2), nn.BatchNorm2d
    if (name, part) == ("label_score", "generator"):
        return nn.Sequential(
            nn.Linear(110, 3136),
            nn.Unflatten(1, (1, 56, 56)),
            bn2(1),
            nn.ReLU(),
            nn.Conv2d(1, 50, 3, padding=1),
            bn2(50),
            nn.ReLU(),
            nn.Conv2d(50, 25, 3, padding=1),
            bn2(25),
            nn.ReLU(),
            nn.Conv2d(25, 1, 2, stride=2),
            nn.Tanh(),
        )
    if (name, part) == ("label_score", "discriminator"):
        return nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2),
            lrelu(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2),
            lrelu(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(3136, 1024),
            lrelu(),
            nn.Linear(1024, 10),
        )
    if (name, part) == ("label_map", "generator"):
        blocks = [
            nn.Linear(110, 3136),
            nn.Unflatten(1, (1, 56, 56)),
            nn.Conv2d(1, 50, 3, padding=1, bias=False),
            lrelu(),
        ]
        for i, o in ((50, 250), (250, 50), (50, 25)):
            blocks += [nn.Conv2d(i, o, 3, padding=1, bias=False), bn2(o), lrelu()]
        return nn.Sequential(*blocks, nn.Conv2d(25, 1, 2, stride=2, bias=False), nn.Tanh())
    if (name, part) == ("mlp_gan", "generator"):
        blocks = [nn.Linear(100, 128), lrelu()]
        for i, o in ((128, 256), (256, 512), (512, 1024), (1024, 2048), (2048, 4096)):
            blocks += [nn.Linear(i, o), nn.BatchNorm1d(o, 0.8), lrelu()]
        return nn.Sequential(*blocks, nn.Linear(4096, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    if (name, part) == ("mlp_gan", "discriminator"):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 4096),
            nn.ReLU(),
            nn.Linear(4096, 2048),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(2048, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 512),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(512, 256),
            nn.Linear(256, 1),
        )
    if (name, part) == ("lenet5", "classifier"):
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        )
    raise KeyError((name, part))


def label_map_discriminator(nn, torch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.image, self.label = nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(10, 16, 4, 2, 1)
            act = nn.LeakyReLU(0.2)
            self.rest = nn.Sequential(
                nn.Conv2d(32, 256, 4, 2, 1),
                act,
                nn.Conv2d(256, 1024, 3, 2),
                nn.BatchNorm2d(1024),
                act,
                nn.Flatten(),
                nn.Linear(9216, 2048),
                act,
                nn.Dropout(0.02),
                nn.Linear(2048, 512),
                act,
                nn.Dropout(0.02),
                nn.Linear(512, 10),
            )
            self.act = act

        def forward(self, x, maps):
            return self.rest(torch.cat([self.act(self.image(x)), self.act(self.label(maps))], 1))

    return Net()


def copy_into(torch, modules, weights, layers):
    """Copy our weights into PyTorch's modules of the same order; a Dense after a flatten reads [H, W, C] here."""
    ours, grid = iter(layers), None
    for module in modules:
        kind = type(module).__name__
        if kind == "Conv2d":
            _, layer = next(ours)
            module.weight.data = torch.tensor(np.asarray(layer["kernel"]).transpose(3, 2, 0, 1).copy())
            grid = layer["kernel"].shape[-1]
        elif kind == "Linear":
            _, layer = next(ours)
            kernel = np.asarray(layer["kernel"])
            if grid and kernel.shape[0] % grid == 0 and kernel.shape[0] > grid:  # the first one after convolutions
                side = int(np.sqrt(kernel.shape[0] // grid))
                kernel = kernel.reshape(side, side, grid, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            grid = None
            module.weight.data = torch.tensor(kernel.T.copy())
        elif kind.startswith("BatchNorm"):
            name, layer = next(ours)
            module.weight.data, module.bias.data = (torch.tensor(np.asarray(layer[k])) for k in ("scale", "bias"))
            module.running_mean, module.running_var = (
                torch.tensor(np.asarray(weights.statistics[name][k])) for k in ("mean", "var")
            )
            continue
        else:
            continue
        if module.bias is not None:
            module.bias.data = torch.tensor(np.asarray(layer["bias"]))
    assert next(ours, None) is None


def numbers_for(network):
    """Weights from NumPy, which later versions of JAX draw no others of; BatchNorm's are away from 0 and 1."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        kind = path[-1].key
        if kind == "kernel":
            bound = np.prod(leaf.shape[:-1]) ** -0.5
            values = rng.uniform(-bound, bound, leaf.shape)
        elif kind in ("scale", "var"):
            values = rng.uniform(0.8, 1.2, leaf.shape)
        else:
            values = rng.uniform(-0.1, 0.1, leaf.shape)
        return jnp.asarray(values, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(network.init, KEY))


def inputs_of(name, part, n=6):
    labels = np.arange(n) % 10
    if part == "generator":
        z = np.random.default_rng(1).standard_normal((n, 100)).astype(np.float32)
        conditional = name != "mlp_gan"
        return z, labels, np.concatenate([z, np.eye(10, dtype=np.float32)[labels]], 1) if conditional else z
    images = np.random.default_rng(2).random((n, 28, 28, 1)).astype(np.float32) * 2 - 1
    return images, labels, images.transpose(0, 3, 1, 2)


PARITY = [pair for pair in PARTS if pair[0] != "pattern_1010"]
# PyTorch 2.13's answers, so that they are compared with where it is not installed: CGANJAX_RECORD=1 writes them anew.
RECORDED = Path(__file__).with_name("pytorch_outputs.npz")


def pytorchs_answers(torch, name, part, weights):
    """What the published modules give with our weights: in inference, and of generators in training too."""
    x_torch, labels = inputs_of(name, part)[2], inputs_of(name, part)[1]
    if (name, part) == ("label_map", "discriminator"):
        module = label_map_discriminator(torch.nn, torch)
        copy_into(torch, [module.image, module.label, *module.rest], weights, layers_of(name, part, weights))
        maps = np.broadcast_to(np.eye(10, dtype=np.float32)[labels][:, :, None, None], (6, 10, 28, 28))
        extra = (torch.tensor(maps.copy()),)
    else:
        module, extra = torch_layers(name, part, torch.nn), ()
        copy_into(torch, module, weights, layers_of(name, part, weights))
        if name == "lenet5":
            x_torch = (x_torch * 0.5 + 0.5 - 0.1307) / 0.3081
    x_torch, answers = torch.tensor(np.ascontiguousarray(x_torch)), {}
    with torch.no_grad():
        answers["inference"] = module.eval()(x_torch, *extra).numpy()
        norms = [m for m in module.modules() if type(m).__name__.startswith("BatchNorm")]
        if norms:
            trained = module.train()(x_torch, *extra).numpy()
            if part == "generator":  # a discriminator's dropout is random
                answers["training"] = trained
            for i, bn in enumerate(norms):
                answers |= {f"mean {i}": bn.running_mean.numpy(), f"var {i}": bn.running_var.numpy()}
    return answers


# The two that take longest to compile are slow.
@pytest.mark.parametrize(
    "name, part",
    [
        pytest.param(*pair, marks=pytest.mark.slow)
        if pair in (("label_map", "discriminator"), ("mlp_gan", "generator"))
        else pair
        for pair in PARITY
    ],
)
def test_forward_pass_is_pytorchs(name, part):
    network = getattr(build(name), part)
    weights = numbers_for(network)
    recorded = {}
    if RECORDED.exists():
        with np.load(RECORDED) as arrays:
            recorded = {key: arrays[key] for key in arrays.files}
    want = {key.split("/")[2]: v for key, v in recorded.items() if key.startswith(f"{name}/{part}/")}
    if importlib.util.find_spec("torch"):
        now = pytorchs_answers(importlib.import_module("torch"), name, part, weights)
        if os.environ.get("CGANJAX_RECORD"):
            np.savez_compressed(RECORDED, **(recorded | {f"{name}/{part}/{key}": v for key, v in now.items()}))
        else:
            for key, value in now.items():
                assert_allclose(want[key], value, atol=1e-4, rtol=1e-4, err_msg=f"{RECORDED.name} is out of date")
        want = now

    x, labels, _ = inputs_of(name, part)
    x = x * 0.5 + 0.5 if name == "lenet5" else x
    got = np.asarray(network.apply(weights, jnp.asarray(x), jnp.asarray(labels)))
    got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
    assert_allclose(got, want["inference"], atol=1e-4, rtol=1e-4)
    if "mean 0" in want:  # in training: with the batch's own statistics; and the running averages after it
        got, statistics = network.train(weights, KEY, jnp.asarray(x), jnp.asarray(labels))
        if part == "generator":
            assert_allclose(np.asarray(got).transpose(0, 3, 1, 2), want["training"], atol=1e-4, rtol=1e-4)
        norms = [layer for layer, _ in layers_of(name, part, weights) if layer.startswith("BatchNorm")]
        assert len(norms) == sum(key.startswith("mean") for key in want)
        for i, layer in enumerate(norms):
            # How many values a channel's variance is of: the batch, and the places of the grid.
            values = 6 * {"mlp_gan": 1, "label_map": 56 * 56, "label_score": 56 * 56}[name]
            values = 6 * 3 * 3 if part == "discriminator" else values
            before = np.asarray(weights.statistics[layer]["var"])
            # PyTorch's variance is n / (n - 1) of ours, at its momentum of 0.1.
            biased = 0.9 * before + (want[f"var {i}"] - 0.9 * before) * (values - 1) / values
            assert_allclose(statistics[layer]["mean"], want[f"mean {i}"], atol=1e-4)
            assert_allclose(statistics[layer]["var"], biased, atol=1e-4, rtol=1e-4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_pattern_1010_by_hand(part):
    network = getattr(build("pattern_1010"), part)
    weights = network.init(KEY)
    (w1, b1), (w2, b2) = (
        (np.asarray(v["kernel"]), np.asarray(v["bias"])) for _, v in layers_of("pattern_1010", part, weights)
    )
    if part == "generator":
        want = sigmoid(sigmoid(np.full((3, 1), 0.5) @ w1 + b1) @ w2 + b2)
        got = network.apply(weights, jnp.zeros((3, 1))) * 0.5 + 0.5
        assert_allclose(np.asarray(got).reshape(3, 4), want, atol=1e-6)
    else:
        x = np.random.default_rng(0).random((5, 1, 4, 1)).astype(np.float32)
        want = sigmoid(x.reshape(5, 4) @ w1 + b1) @ w2 + b2
        assert_allclose(network.apply(weights, jnp.asarray(x * 2 - 1)), want, atol=1e-6)


def test_lenet5_by_numpy():
    """Convolution and pooling written out, for machines without PyTorch."""
    network = build("lenet5").classifier
    weights = network.init(KEY)
    x = np.random.default_rng(3).random((2, 28, 28, 1))
    layers = [
        (np.asarray(v["kernel"], np.float64), np.asarray(v["bias"], np.float64))
        for _, v in layers_of("lenet5", "classifier", weights)
    ]
    h = np.pad((x - 0.1307) / 0.3081, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for kernel, bias in layers[:2]:
        windows = np.lib.stride_tricks.sliding_window_view(h, (5, 5), axis=(1, 2))  # [N, H, W, in, 5, 5]
        h = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias, 0)
        n, height, width, c = h.shape
        h = h.reshape(n, height // 2, 2, width // 2, 2, c).max((2, 4))
    h = h.reshape(2, -1)
    for i, (kernel, bias) in enumerate(layers[2:]):
        h = h @ kernel + bias
        h = np.maximum(h, 0) if i < 2 else h
    assert_allclose(network.apply(weights, jnp.asarray(x, jnp.float32)), h, atol=1e-4)


# --- layers in other forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 33, 35, 16, 5, 3), (1, 32, 40, 17, 4, 5), (2, 56, 56, 16, 1, 3)])
def test_the_weight_gradient_by_rows_is_xlas(shape):
    n, h, w, ci, co, k = shape
    keys = jax.random.split(KEY, 3)
    x, g = jax.random.normal(keys[0], (n, h, w, ci)), jax.random.normal(keys[1], (n, h, w, co))
    kernel = jax.random.normal(keys[2], (k, k, ci, co))
    pads = [(k // 2, k // 2)] * 2
    assert convolution.by_rows(x.shape, kernel.shape, (1, 1), pads)

    def ours(x, kernel):
        return convolution.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=None)

    def xlas(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    for order in (1, 2):
        results = []
        for conv in (ours, xlas):

            def first(x, kernel, conv=conv):
                return jax.grad(lambda x, kernel: jnp.sum(jnp.sin(conv(x, kernel)) * g), (0, 1))(x, kernel)

            def second(x, kernel, first=first):
                return jax.grad(lambda *a: sum(jnp.sum(d**2) for d in first(*a)), (0, 1))(x, kernel)

            results.append(jax.jit(first if order == 1 else second)(x, kernel))
        for got, want in zip(*results, strict=True):
            assert_allclose(got, want, atol=1e-4 * float(jnp.abs(want).max()))


def test_other_convolutions_stay_xlas():
    assert convolution.by_rows((1, 56, 56, 16), (3, 3, 16, 4), (1, 1), [(1, 1), (1, 1)])
    assert not convolution.by_rows((1, 28, 28, 16), (3, 3, 16, 4), (1, 1), [(1, 1), (1, 1)])  # a small grid
    assert not convolution.by_rows((1, 56, 56, 16), (2, 2, 16, 4), (2, 2), [(0, 0), (0, 0)])  # a stride
    assert not convolution.by_rows((1, 56, 56, 16), (3, 3, 16, 4), (1, 1), [(0, 0), (0, 0)])  # no padding
    assert not convolution.by_rows((1, 56, 56, 1), (3, 3, 1, 4), (1, 1), [(1, 1), (1, 1)])  # one input


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("n, k, padding, side", [(2, 5, 2, 28), (3, 5, 0, 14), (1, 3, 1, 8), (3, 3, 0, (6, 10))])
def test_conv_max_pool_is_a_convolution_and_a_maximum(n, k, padding, side, order):
    """Values, and gradients of both orders by hand, against XLA's own."""
    h, w = side if isinstance(side, tuple) else (side, side)
    keys = jax.random.split(KEY, 2)
    x, kernel = jax.random.normal(keys[0], (n, h, w, 3)), jax.random.normal(keys[1], (k, k, 3, 4))
    x = x.at[:, : h // 2].set(0.0)  # windows whose four pixels are equal

    def plain(x, kernel):
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        # The maximum of two maxima, as it shares a gradient among equals.
        y = y.reshape(n, y.shape[1] // 2, 2, y.shape[2] // 2, 2, 4)
        y = jnp.maximum(y[:, :, 0], y[:, :, 1])
        return jnp.maximum(y[:, :, :, 0], y[:, :, :, 1])

    def fused(x, kernel):
        return convolution.conv_max_pool(x, kernel, padding)

    def of(f):
        def first(*a):
            return jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), (0, 1))(*a)

        def second(*a):
            return jax.grad(lambda *a: sum(jnp.sum(d**2) for d in first(*a)), (0, 1))(*a)

        return jax.jit([lambda *a: [f(*a)], first, second][order])(x, kernel)

    for got, want in zip(of(fused), of(plain), strict=True):
        assert_allclose(got, want, atol=1e-4 * float(jnp.abs(want).max()))


def test_an_image_that_is_not_finite_spoils_no_other():
    x, kernel = jax.random.normal(KEY, (3, 8, 8, 1)), jax.random.normal(KEY, (3, 3, 1, 2))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(convolution.conv_max_pool(x, kernel, 1) ** 2)))
    for bad in (jnp.nan, jnp.inf):
        spoilt = gradient(x.at[0].set(bad))
        assert_allclose(spoilt[1:], gradient(x)[1:], rtol=1e-5)
        assert not np.isfinite(np.asarray(spoilt[0])).all()


def test_conv_max_pool_refuses_what_it_cannot_pool():
    with pytest.raises(ValueError, match="even sides"):
        convolution.conv_max_pool(jnp.ones((1, 9, 9, 1)), jnp.ones((3, 3, 1, 1)), 1)
    with pytest.raises(ValueError, match="odd kernel"):
        convolution.conv_max_pool(jnp.ones((1, 9, 9, 1)), jnp.ones((2, 2, 1, 1)), 1)


def test_initialisation_is_pytorchs():
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases."""
    weights = build("label_score").discriminator.init(KEY)
    for name, fan_in in (("Conv_0", 25), ("Conv_1", 32 * 25), ("Dense_0", 3136), ("Dense_1", 1024)):
        for leaf in weights.params[name].values():
            values, bound = np.asarray(leaf), fan_in**-0.5
            assert np.abs(values).max() <= bound
            if values.size > 500:
                assert_allclose(values.std(), bound / np.sqrt(3), rtol=0.1)


def test_training_and_inference_statistics_are_told_apart():
    network = build("label_score").generator
    weights = network.init(KEY)
    z, labels = jax.random.normal(KEY, (4, 100)), jnp.arange(4)
    alone = network.apply(weights, z[:1], labels[:1])
    assert_allclose(network.apply(weights, z, labels)[:1], alone, atol=1e-5)  # running averages: each on its own
    trained, statistics = network.train(weights, KEY, z, labels)
    assert np.abs(np.asarray(trained[:1] - alone)).max() > 1e-3
    moved = network.apply(Weights(weights.params, statistics), z, labels)
    assert np.abs(np.asarray(moved[:1] - alone)).max() > 1e-5
