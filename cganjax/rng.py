"""Keys are derived, never chained: seed -> named stream -> step -> item.

A draw depends only on its place, so resuming, reordering or another batch size shifts no later draw.
"""

import zlib

import jax


def root(seed: int) -> jax.Array:
    """The typed key of a run, from its seed."""
    return jax.random.key(seed)


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of the stream called `name` below `key`: the same name gives the same stream in every process."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def items(key: jax.Array, n: int) -> jax.Array:
    """`n` keys, [n], where key i is `fold_in(key, i)`: item i is the same whatever `n` is."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jax.numpy.arange(n))
