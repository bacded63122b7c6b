"""The hand-written forms of cganjax/models/convolution.py against XLA's own, layer by layer: medians and the ratio.

    python -m benchmarks.convolution                    # the layers of label_score, label_map and lenet5, batch 64
    python -m benchmarks.convolution --batch 16 --repeats 5

Both sides are compared (1e-4 of the largest value) before they are timed in turn.
"""

import sys
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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


def timed(functions, arguments, repeats):
    """Medians in ms of functions that are run in turn, after agreement on their results."""
    jitted = [jax.jit(f) for f in functions]
    first, second = (jax.block_until_ready(f(*arguments)) for f in jitted)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert float(jnp.abs(a - b).max()) <= 1e-4 * float(jnp.abs(a).max()), "the two sides differ"
    seconds = [[] for _ in jitted]
    for _ in range(repeats):
        for f, times in zip(jitted, seconds, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(f(*arguments))
            times.append(time.perf_counter() - began)
    return [1e3 * float(np.median(times)) for times in seconds], [1e3 * float(np.ptp(times)) for times in seconds]


def show(name, medians, spread):
    """One line of the table."""
    (xla, ours), (xla_spread, our_spread) = medians, spread
    print(f"{name:40} XLA {xla:8.2f} ({xla_spread:.2f})  ours {ours:8.2f} ({our_spread:.2f})  ratio {xla / ours:5.2f}",
          flush=True)  # fmt: skip


def main(argv=None):
    """Print a line for each layer: milliseconds, spread (largest less smallest) and XLA's time over ours."""
    parser = cli.Parser(prog="python -m benchmarks.convolution", description=__doc__)
    parser.add_argument("--batch", type=int, default=64, help="images (default: 64)")
    parser.add_argument("--repeats", type=int, default=9, help="of each side (default: 9)")
    cli.add_backend(parser)
    args = parser.parse_args(argv)
    if min(args.batch, args.repeats) < 1:
        raise cli.UserError(f"--batch is {args.batch} and --repeats {args.repeats}: give at least 1")
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

        show(f"kernel gradient, {name}", *timed((xla, ours), (x, g, kernel), args.repeats))

    for name, (side, ci, co, k, padding) in POOLS.items():
        x, kernel = jax.random.normal(key, (args.batch, side, side, ci)), jax.random.normal(key, (k, k, ci, co))

        def xla(x, kernel, padding=padding):
            pads = [(padding, padding)] * 2
            y = jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return pytorch.max_pool(y)

        def ours(x, kernel, padding=padding):
            return convolution.conv_max_pool(x, kernel, padding)

        show(f"convolution and pooling, {name}", *timed((xla, ours), (x, kernel), args.repeats))
        both = [lambda x, kernel, f=f: jax.grad(lambda *a: f(*a).sum(), (0, 1))(x, kernel) for f in (xla, ours)]
        show("  and both gradients", *timed(both, (x, kernel), args.repeats))

    x = jax.random.normal(key, (args.batch, 28, 28, 32))
    pools = [lambda x: nn.max_pool(x, (2, 2), (2, 2)), pytorch.max_pool]
    both = [lambda x, pool=pool: jax.grad(lambda x: (pool(x) ** 2).sum())(x) for pool in pools]
    show("gradient of max pooling, 28x28x32", *timed(both, (x,), args.repeats))


if __name__ == "__main__":
    sys.exit(cli.execute(main))
