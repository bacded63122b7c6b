"""Other forms of convolutions for which XLA's CPU backend is slow.

1. It computes the gradient of a kernel on a large grid many times slower than the forward pass. On a CPU, and for the
   shapes that `by_rows` accepts, that gradient is one matrix product here. Everywhere else it is XLA's own.
2. It is slow if channels are few, and at the maximum over a window. `conv_max_pool` does both in one matrix product
   whose longest axis is the images of the batch.
"""

import functools

import jax
import jax.numpy as jnp

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv_general_dilated(
    x: jax.Array,
    kernel: jax.Array,
    window_strides,
    padding,
    *,
    lhs_dilation=None,
    rhs_dilation=None,
    dimension_numbers=None,
    feature_group_count=1,
    precision=None,
) -> jax.Array:
    """`jax.lax.conv_general_dilated` as Linen's `nn.Conv` calls it, NHWC, with the gradient chosen by shape.

    The hand-written gradient supports reverse mode only (`grad`, `vjp`, also twice), not `jvp`.
    """
    plain = feature_group_count == 1 and precision is None and {*(lhs_dilation or ()), *(rhs_dilation or ())} <= {1}
    if plain and by_rows(x.shape, kernel.shape, tuple(window_strides), padding):
        return _same(x, kernel)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        precision=precision,
    )


def by_rows(x: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], padding) -> bool:
    """Whether the hand-written gradient is used: SAME padding, stride 1, a large grid, and at least 16 inputs.

    For other shapes `python -m benchmarks.convolution` found XLA's own gradient as fast or faster.
    """
    kh, kw, inputs, _ = kernel
    same = kh % 2 == kw % 2 == 1 and [tuple(p) for p in padding] == [(kh // 2,) * 2, (kw // 2,) * 2]
    return same and strides == (1, 1) and min(x[1:3]) >= 32 and inputs >= 16


def _forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
    pads = [(k // 2, k // 2) for k in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=_DIMENSIONS)


@jax.custom_vjp
def _same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _forward(x, kernel)


def _same_fwd(x, kernel):
    return _forward(x, kernel), (x, kernel)


def _same_bwd(residuals, g):
    x, kernel = residuals
    dx = _forward(g, kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    weight_gradient = functools.partial(weight_gradient_by_rows, size=kernel.shape[:2])
    dk = jax.lax.platform_dependent(x, g, cpu=weight_gradient, default=lambda x, g: _xla_gradient(x, g, kernel))
    return dx, dk


_same.defvjp(_same_fwd, _same_bwd)


def _xla_gradient(x, g, kernel):
    (dk,) = jax.vjp(lambda k: _forward(x, k), kernel)[1](g)
    return dk


def weight_gradient_by_rows(x: jax.Array, g: jax.Array, size: tuple[int, int]) -> jax.Array:
    """dK[i, j] = sum over pixels of x shifted by (i, j) times g, as one product.

    Columns j become channels of x, rows i become channels of g: [kw * in, pixels] times [pixels, kh * out] does just
    the multiplications that are needed, and both sides are wide enough for the matrix unit.
    """
    (kh, kw), (h, w, ci), co = size, x.shape[1:], g.shape[-1]
    xp = jnp.pad(x, ((0, 0), (0, 0), (kw // 2, kw // 2), (0, 0)))
    gp = jnp.pad(g, ((0, 0), (kh // 2, kh // 2), (0, 0), (0, 0)))
    columns = jnp.concatenate([xp[:, :, j : j + w] for j in range(kw)], axis=-1)  # [n, h, w, kw ci]
    rows = jnp.concatenate([gp[:, kh - 1 - i : kh - 1 - i + h] for i in range(kh)], axis=-1)  # [n, h, w, kh co]
    dk = columns.reshape(-1, kw * ci).T @ rows.reshape(-1, kh * co)
    return dk.reshape(kw, ci, kh, co).transpose(2, 0, 1, 3)


def conv_max_pool(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """The maximum over 2x2 pixels of a convolution: [N, H, W, in] and [k, k, in, out] -> [N, H'/2, W'/2, out].

    H' = H + 2 padding - k + 1, and k is odd. The four pixels of a window are four groups of outputs of one kernel of
    size k + 1 and stride 2: 1.44 times the multiplications for k = 5, in one matrix product of 4 out rows, and a
    maximum over whole groups. Inside, the images are the last axis, so that few channels do not make short rows.

    The hand-written gradient supports reverse mode only (`grad`, `vjp`, also twice). Pixels of a window that tie share
    it.

    Raises:
      ValueError: the kernel's size is even, or a side of the result is odd.
    """
    k, _, inputs, outputs = kernel.shape
    if k % 2 == 0 or any((side + 2 * padding - k + 1) % 2 for side in x.shape[1:3]):
        raise ValueError(
            f"a kernel of {k} on {x.shape[1]}x{x.shape[2]}, padded by {padding}: expected an odd kernel "
            "and a result of even sides"
        )
    # The kernel at each of four offsets within (k + 1) x (k + 1).
    four = jnp.stack([jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1)])
    four = four.transpose(0, 4, 1, 2, 3).reshape(4 * outputs, (k + 1) ** 2 * inputs)
    x = jnp.pad(x.transpose(1, 2, 3, 0), ((padding, padding), (padding, padding), (0, 0), (0, 0)))
    return _pooled(x, four, k + 1).transpose(3, 1, 2, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _pooled(x: jax.Array, four: jax.Array, size: int) -> jax.Array:
    """[H, W, in, N] and [4 out, size * size * in] -> [out, H'/2, W'/2, N]."""
    return _pooled_fwd(x, four, size)[0]


def _pooled_fwd(x, four, size):
    h, w, inputs, n = x.shape
    a, b = (h - size) // 2 + 1, (w - size) // 2 + 1
    patches = jnp.stack(
        [
            jax.lax.slice(x, (i, j, 0, 0), (i + 2 * a - 1, j + 2 * b - 1, inputs, n), (2, 2, 1, 1)).transpose(
                2, 0, 1, 3
            )
            for i in range(size)
            for j in range(size)
        ]
    ).reshape(size * size * inputs, a * b * n)
    y = (four @ patches).reshape(4, -1)
    largest = jnp.maximum(jnp.maximum(y[0], y[1]), jnp.maximum(y[2], y[3]))
    return largest.reshape(-1, a, b, n), (four, patches, y)


def _pooled_bwd(size, residuals, g):
    four, patches, y = residuals
    _, a, b, n = g.shape
    inputs, h, w = len(patches) // size**2, 2 * a + size - 2, 2 * b + size - 2
    # How the gradient of the maximum of maxima is split, by the rule of `jnp.maximum`: in halves if two are equal.
    y = y.reshape(2, 2, -1)
    pairs = jnp.maximum(y[:, 0], y[:, 1])
    g = _computed(g, y).reshape(1, -1) * _share(pairs, pairs[::-1])
    dy = (g[:, None] * _share(y, y[:, ::-1])).reshape(len(four), -1)
    # Rows and columns of equal parity do not overlap, so each pixel of a patch is added to its own place.
    patch = (four.T @ dy).reshape(size // 2, 2, size // 2, 2, inputs, a, b, n)
    dx = jnp.zeros((2, 2, inputs, h // 2, w // 2, n), patch.dtype)
    for i in range(size // 2):
        for j in range(size // 2):
            dx = dx.at[:, :, :, i : i + a, j : j + b].add(patch[i, :, j])
    return _computed(dx, y).transpose(3, 0, 4, 1, 2, 5).reshape(h, w, inputs, n), dy @ patches.T


_pooled.defvjp(_pooled_fwd, _pooled_bwd)


def _share(a: jax.Array, b: jax.Array) -> jax.Array:
    """d maximum(a, b) / d a."""
    return jnp.where(a > b, 1.0, jnp.where(a == b, 0.5, 0.0)).astype(a.dtype)


def _computed(x: jax.Array, any_value: jax.Array) -> jax.Array:
    """x, as a result that XLA computes once and keeps, instead of once for each operation that uses it.

    The CPU backend drops `optimization_barrier` before it fuses operations, but it keeps a branch whose condition it
    does not know. Both branches return x.
    """

    def behind_a_branch(x, y):
        return jax.lax.cond(y < jnp.inf, lambda x: x, lambda x: jnp.where(jnp.isnan(x), jnp.nan, x), x)

    first = any_value[(0,) * any_value.ndim]
    return jax.lax.platform_dependent(x, first, cpu=behind_a_branch, default=lambda x, _: x)
