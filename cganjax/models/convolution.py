"""Convolutions in other forms, where XLA's CPU backend is slow at them.

1. It computes the gradient of a kernel on a large grid many times slower than the forward pass. On a CPU, and for the
   shapes that `by_rows` names, that gradient is one matrix product here; everywhere else it stays XLA's own.
2. It is slow where channels are few, and at a window's maximum: `conv_max_pool` does both at once on a grid of half
   the size with four times the channels.
"""

import functools

import jax
import jax.numpy as jnp

from cganjax.models.depth_to_space import space_to_depth

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv_general_dilated(
    x: jax.Array, kernel: jax.Array, window_strides, padding, *, lhs_dilation=None, rhs_dilation=None,
    dimension_numbers=None, feature_group_count=1, precision=None,
) -> jax.Array:  # fmt: skip
    """`jax.lax.conv_general_dilated` as Linen's `nn.Conv` calls it, NHWC, with the gradient chosen by shape.

    Where the gradient is by hand, reverse mode alone goes through it (`grad`, `vjp`, also twice), not `jvp`.
    """
    plain = feature_group_count == 1 and precision is None and {*(lhs_dilation or ()), *(rhs_dilation or ())} <= {1}
    if plain and by_rows(x.shape, kernel.shape, tuple(window_strides), padding):
        return _same(x, kernel)
    return jax.lax.conv_general_dilated(
        x, kernel, window_strides, padding, lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers, feature_group_count=feature_group_count, precision=precision,
    )  # fmt: skip


def by_rows(x: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], padding) -> bool:
    """Whether the hand-written gradient serves these shapes: SAME, stride 1, a large grid, and not few inputs.

    Where `python -m benchmarks.convolution` found XLA's own faster, or as fast, it is left alone.
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
    the multiplications that are needed, with both sides wide enough for the matrix unit.
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
    size k + 1 and stride 2, which with space-to-depth is a small matrix product: 1.44 times the multiplications for
    k = 5, on rows of four times the width, and a maximum of contiguous groups.
    """
    k, _, ci, co = kernel.shape
    if k % 2 == 0 or any((side + 2 * padding - k + 1) % 2 for side in x.shape[1:3]):
        raise ValueError(f"a kernel of {k} on {x.shape[1]}x{x.shape[2]}, padded by {padding}: expected an odd kernel "
                         "and a result of even sides")  # fmt: skip
    half = (k + 1) // 2
    # The kernel at each of four offsets within (k + 1) x (k + 1), then split as space_to_depth splits the image.
    four = jnp.stack([jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1)], -2)
    four = four.reshape(half, 2, half, 2, ci, 4 * co).transpose(0, 2, 1, 3, 4, 5)
    x = space_to_depth(jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))))
    n, h, w = x.shape[0], x.shape[1] - half + 1, x.shape[2] - half + 1
    patches = jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(half) for j in range(half)], axis=-1)
    y = (patches.reshape(n * h * w, -1) @ four.reshape(-1, 4 * co)).reshape(n, h, w, 4, co)
    return jnp.maximum(jnp.maximum(y[..., 0, :], y[..., 1, :]), jnp.maximum(y[..., 2, :], y[..., 3, :]))
