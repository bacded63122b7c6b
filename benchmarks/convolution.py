"""The hand-written forms of cganjax/models/convolution.py against XLA's own, layer by layer.

    python -m benchmarks.convolution                    # the layers of label_score, label_map and lenet5, batch 64
    python -m benchmarks.convolution --batch 16 --repeats 5

Both sides are compared (1e-4 of the largest value) before they are timed in turn.
"""

import sys

import flax.linen as nn
import jax

from benchmarks import timing
from cganjax import cli
from cganjax.models import convolution, pytorch

# grid, inputs, outputs, kernel; the last three are those that `by_rows` leaves to XLA
GRADIENTS = {
    "label_score G, 50 to 25": (56, 50, 25, 3),
    "label_map G, 50 to 250": (56, 50, 250, 3),
    "label_map G, 250 to 50": (56, 250, 50, 3),
    "one input, 1 to 50": (56, 1, 50, 3),
    "label_score D, 32 to 64": (14, 32, 64, 5),
    "a 28x28 grid, 32 to 32": (28, 32, 32, 3),
}
# grid, inputs, outputs, kernel, padding
POOLS = {"lenet5, 1 to 6": (28, 1, 6, 5, 2), "lenet5, 6 to 16": (14, 6, 16, 5, 0)}


def sides(what: str, ours, xla, arguments, repeats: int) -> list[timing.Row]:
    """Rows of two functions, once their results agree."""
    jitted = {timing.OURS: jax.jit(ours), "XLA's own": jax.jit(xla)}
    for a, b in zip(*(jax.tree.leaves(f(*arguments)) for f in jitted.values()), strict=True):
        timing.same(what, a, b, 1e-4)
    calls = {name: lambda f=f: jax.block_until_ready(f(*arguments)) for name, f in jitted.items()}
    return timing.rows(what, timing.in_turn(calls, repeats), "ms", 1e3)


def measure(args):
    """Rows: kernel gradients, convolution with pooling and its gradients, and pooling."""
    if args.batch < 1:
        raise cli.UserError(f"--batch is {args.batch}: give at least 1")
    cli.choose_backend(args.backend)
    key = jax.random.key(0)
    for name, (side, ci, co, k) in GRADIENTS.items():
        x, g = (jax.random.normal(key, (args.batch, side, side, c)) for c in (ci, co))
        kernel, pads = jax.random.normal(key, (k, k, ci, co)), [(k // 2, k // 2)] * 2

        def xla(x, g, kernel, pads=pads):
            def forward(kernel):
                return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

            return jax.vjp(forward, kernel)[1](g)[0]

        def ours(x, g, kernel):
            return convolution.weight_gradient_by_rows(x, g, kernel.shape[:2])

        yield from sides(f"kernel gradient, {name}", ours, xla, (x, g, kernel), args.repeats)

    for name, (side, ci, co, k, padding) in POOLS.items():
        x, kernel = jax.random.normal(key, (args.batch, side, side, ci)), jax.random.normal(key, (k, k, ci, co))

        def xla(x, kernel, padding=padding):
            pads = [(padding, padding)] * 2
            y = jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return pytorch.max_pool(y)

        def ours(x, kernel, padding=padding):
            return convolution.conv_max_pool(x, kernel, padding)

        def both(f):
            return jax.grad(lambda x, kernel: f(x, kernel).sum(), (0, 1))

        yield from sides(f"convolution and pooling, {name}", ours, xla, (x, kernel), args.repeats)
        yield from sides(f"its two gradients, {name}", both(ours), both(xla), (x, kernel), args.repeats)

    def gradient(pool):
        return jax.grad(lambda x: (pool(x) ** 2).sum())

    x = jax.random.normal(key, (args.batch, 28, 28, 32))
    xla = gradient(lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    yield from sides("gradient of max pooling, 28x28x32", gradient(pytorch.max_pool), xla, (x,), args.repeats)


def main(argv=None):
    """The command."""

    def add(parser):
        parser.add_argument("--batch", type=int, default=64, help="images (default: 64)")
        cli.add_backend(parser)

    return timing.command("convolution", __doc__, measure, argv, add=add)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
