"""Layers with PyTorch's defaults, for systems that were published in PyTorch.

Weights and biases are U(-1/sqrt(fan_in), +1/sqrt(fan_in)). BatchNorm's momentum is the weight of the *old* running
value in Flax and of the *new* one in PyTorch, so PyTorch's 0.1 is 0.9 here. The running variance is Flax's biased one:
with n values per channel it is smaller than PyTorch's by the fraction 1/n.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import convolution


def uniform(fan_in: int):
    """An initialiser of U(-1/sqrt(fan_in), +1/sqrt(fan_in))."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)

    return init


def dense(features: int, inputs: int) -> nn.Dense:
    """`torch.nn.Linear(inputs, features)`."""
    return nn.Dense(features, kernel_init=uniform(inputs), bias_init=uniform(inputs))


def conv(features: int, size: int, inputs: int, *, stride: int = 1, padding: int = 0, bias: bool = True) -> nn.Conv:
    """`torch.nn.Conv2d(inputs, features, size, stride, padding, bias=bias)`, on [N, H, W, C]."""
    init = uniform(inputs * size * size)
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=padding,
        use_bias=bias,
        kernel_init=init,
        bias_init=init,
        conv_general_dilated=convolution.conv_general_dilated,
    )


def batch_norm(train: bool, *, eps: float = 1e-5, momentum: float = 0.1) -> nn.BatchNorm:
    """`torch.nn.BatchNorm2d` or `1d` over the last axis: batch statistics in training, running ones otherwise."""
    return nn.BatchNorm(use_running_average=not train, momentum=1.0 - momentum, epsilon=eps)


def leaky_relu(x: jax.Array) -> jax.Array:
    """`torch.nn.LeakyReLU(0.2)`."""
    return nn.leaky_relu(x, 0.2)


def max_pool(x: jax.Array) -> jax.Array:
    """`torch.nn.MaxPool2d(2)`: [N, H, W, C] -> [N, H/2, W/2, C].

    A reshape and two maxima, because XLA's CPU backend takes many times as long for the gradient of a window's maximum.
    If values tie, as zeros after ReLU do, the gradient is split among them; PyTorch gives it to the first.
    """
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


class ConvMaxPool(nn.Module):
    """`Conv2d(inputs, features, size, padding=padding)` and `MaxPool2d(2)` as one: [N, H, W, C] -> [N, H/2, W/2, F].

    A ReLU between the two may be applied afterwards instead: it is monotonic.
    """

    features: int
    size: int
    inputs: int
    padding: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = uniform(self.inputs * self.size**2)
        kernel = self.param("kernel", init, (self.size, self.size, self.inputs, self.features))
        bias = self.param("bias", init, (self.features,))
        pooled = convolution.conv_max_pool(x, kernel, self.padding)
        return pooled + bias[None, None, None, :]
