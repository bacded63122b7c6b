"""Checks of JAX on this device: random values, the operations of our networks, and whether results repeat.

Each operation is computed jitted, operation by operation, and by NumPy in double precision.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import rng
from cganjax.health.finding import NOTE, OK, WRONG, Finding
from cganjax.models import convolution, depth_to_space, pytorch

ANOTHER_BUILD = (
    "this build of JAX computes wrong results on this device: unset XLA_FLAGS, update the driver, install the tested "
    "versions (constraints.txt), or use --backend cpu"
)

# --- random values ----------------------------------------------------------------------------------------------------

# The first bits of streams of seed 0.
STREAMS = {
    "z": (0x3FFCAA76, 0x75862BD4),
    "init": (0x19C3EF91, 0xE8740766),
    "data": (0x57DE630B, 0xC5A8EF48),
    "labels": (0x7014AF5D, 0x03DCAA0D),
    "decoy": (0x4E9DB634, 0x245E2C53),
    "preview": (0x1B27B012, 0x714BD873),
}
# What each distribution that we use makes of one key.
DRAWS: dict[str, tuple[Callable[[jax.Array], jax.Array], tuple]] = {
    "uniform": (lambda key: jax.random.uniform(key, (3,)), (0.512946367, 0.926627040, 0.310696840)),
    "normal": (lambda key: jax.random.normal(key, (3,)), (0.032457501, 1.451122046, -0.493876100)),
    "randint": (lambda key: jax.random.randint(key, (5,), 0, 1000), (220, 668, 402, 836, 667)),
    "permutation": (lambda key: jax.random.permutation(key, 8), (0, 3, 1, 6, 4, 7, 2, 5)),
    "bernoulli": (lambda key: jax.random.bernoulli(key, 0.5, (8,)), (0, 0, 1, 0, 1, 0, 0, 0)),
}


def random_values() -> Iterator[Finding]:
    """The streams of seed 0 and each distribution, against values that were recorded when this was written."""
    key = rng.root(0)
    wrong = [
        f"stream {name}"
        for name, bits in STREAMS.items()
        if not np.array_equal(jax.random.bits(rng.stream(key, name), (2,)), np.uint32(bits))
    ]
    of_one = rng.stream(key, "doctor")
    wrong += [
        name
        for name, (draw, golden) in DRAWS.items()
        if not np.allclose(np.asarray(draw(of_one), np.float64), golden, rtol=0, atol=2e-6)
    ]
    if not np.array_equal(jax.random.bits(rng.items(key, 3)[2], (2,)), np.uint32((3875991361, 3918267949))):
        wrong.append("items of a stream")
    if wrong:
        yield Finding(
            WRONG,
            f"{', '.join(wrong)}: other values than recorded, so the same seed gives another run and other images",
            "unset JAX_DEFAULT_PRNG_IMPL and JAX_THREEFRY_PARTITIONABLE, or install the tested versions of JAX",
        )
    else:
        yield Finding(OK, f"{len(STREAMS)} streams and {len(DRAWS)} distributions as recorded")


# --- operations -------------------------------------------------------------------------------------------------------


def _conv(x: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """A padded convolution by its definition: [N, H, W, in] and [k, k, in, out] -> [N, H / stride, W / stride, out]."""
    k = len(kernel)
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel)


def _conv_gradient(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Of half the sum of squares of `_conv`, by the kernel."""
    k = len(kernel)
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    return np.einsum("nhwcij,nhwo->ijco", windows, _conv(x, kernel))


def _jax_conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    pads = [(len(kernel) // 2,) * 2] * 2
    numbers = ("NHWC", "HWIO", "NHWC")
    return convolution.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=numbers)


def _jax_transposed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The gradient of a convolution of stride 2 by its input, which is a transposed convolution."""
    shape = (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[2])
    (found,) = jax.vjp(lambda y: _jax_conv(y, kernel, 2), jnp.zeros(shape))[1](x)
    return found


def _transposed(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same: pixels spread apart by zeros, then the flipped kernel."""
    spread = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    spread[:, ::2, ::2] = x
    return _conv(spread, kernel[::-1, ::-1].transpose(0, 1, 3, 2))


def _jax_batch_norm(x: jax.Array) -> jax.Array:
    layer = pytorch.batch_norm(True)
    return layer.apply(layer.init(jax.random.key(0), x), x, mutable=["batch_stats"])[0]


def _batch_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)


def _depth_to_space(x: np.ndarray) -> np.ndarray:
    """Channel 2 a + b of each group of four is the pixel (a, b) of its square, by a loop."""
    n, h, w, c = x.shape
    found = np.zeros((n, 2 * h, 2 * w, c // 4))
    for a in (0, 1):
        for b in (0, 1):
            found[:, a::2, b::2] = x[..., (2 * a + b) * (c // 4) : (2 * a + b + 1) * (c // 4)]
    return found


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


_X, _K, _K_OUT = (4, 8, 8, 16), (3, 3, 16, 8), (3, 3, 8, 16)
# Name -> (by JAX, by NumPy, shapes of the inputs).
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "matrix product": (jnp.matmul, np.matmul, ((64, 256), (256, 32))),
    "convolution": (_jax_conv, _conv, (_X, _K)),
    "convolution of stride 2": (lambda x, k: _jax_conv(x, k, 2), lambda x, k: _conv(x, k, 2), (_X, _K)),
    "gradient of a convolution": (
        lambda x, k: jax.grad(lambda k: 0.5 * jnp.sum(_jax_conv(x, k) ** 2))(k),
        _conv_gradient,
        ((2, 32, 32, 16), _K),
    ),
    "transposed convolution": (_jax_transposed, _transposed, (_X, _K_OUT)),
    "depth to space": (depth_to_space.depth_to_space, _depth_to_space, (_X,)),
    "batch norm": (_jax_batch_norm, _batch_norm, (_X,)),
    "softmax": (jax.nn.softmax, _softmax, ((32, 10),)),
    "tanh": (jnp.tanh, np.tanh, ((32, 32),)),
}
# The largest difference to double precision, as a fraction of the largest value. Accelerators multiply with fewer bits.
TOLERANCES = {"cpu": 2e-5, "gpu": 5e-3, "cuda": 5e-3, "rocm": 5e-3, "tpu": 2e-2}


def operations() -> Iterator[Finding]:
    """Each operation, jitted and not, against NumPy."""
    tolerance, worst = TOLERANCES.get(jax.default_backend(), 2e-2), 0.0
    wrong = False
    for name, (by_jax, by_numpy, shapes) in OPERATIONS.items():
        random = np.random.default_rng(0)
        inputs = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
        exact = by_numpy(*(x.astype(np.float64) for x in inputs))
        jitted = _apart(jax.jit(by_jax)(*inputs), exact)
        with jax.disable_jit():
            single = _apart(by_jax(*map(jnp.asarray, inputs)), exact)
        worst = max(worst, jitted, single)
        for how, apart in (("jitted", jitted), ("without jit", single)):
            if not apart <= tolerance:
                wrong = True
                yield Finding(
                    WRONG,
                    f"{name}, {how}, differs from NumPy by {apart:.1e} of the largest value: at most {tolerance:.0e} "
                    "is expected",
                    ANOTHER_BUILD,
                )
    if not wrong:
        yield Finding(
            OK, f"{len(OPERATIONS)}, with jit and without, as NumPy's to {worst:.0e} (allowed {tolerance:.0e})"
        )


def _apart(found: Any, exact: np.ndarray) -> float:
    """The largest difference as a fraction of the largest value; infinite if it is no number, or of another shape."""
    found = np.asarray(found, np.float64)
    if found.shape != exact.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - exact).max() / np.abs(exact).max())


# --- repetition -------------------------------------------------------------------------------------------------------

REPEATS = 5


def repetition() -> Iterator[Finding]:
    """The same gradient step several times: does it give the same bits?"""
    random = np.random.default_rng(1)
    x, kernel, dense = (random.standard_normal(s).astype(np.float32) for s in ((32, 16, 16, 16), _K, (8 * 256, 64)))

    def loss(weights):
        hidden = jax.nn.leaky_relu(_jax_conv(x, weights[0]), 0.2)
        return jnp.mean(jnp.tanh(hidden.reshape(len(x), -1) @ weights[1]) ** 2)

    step = jax.jit(jax.value_and_grad(loss))
    first, *others = [jax.device_get(step((kernel, dense))) for _ in range(REPEATS)]
    same = [
        all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(o), strict=True))
        for o in others
    ]
    if all(same):
        yield Finding(OK, f"a gradient step gave the same bits {REPEATS} times of {REPEATS}")
    else:
        yield Finding(
            NOTE if jax.default_backend() != "cpu" else WRONG,
            f"a gradient step gave other bits in {same.count(False)} of {REPEATS - 1} repetitions",
            "add --xla_gpu_deterministic_ops=true to XLA_FLAGS"
            if jax.default_backend() != "cpu"
            else "test the machine's memory; a CPU gives the same bits each time",
        )
