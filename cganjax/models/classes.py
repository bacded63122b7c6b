"""How a network is told a class: labels int [N], or float [N, K], the weights of the classes, for points between."""

import jax
import jax.numpy as jnp


def one_hot(labels: jax.Array, num_classes: int, dtype) -> jax.Array:
    """Labels int [N] -> [N, K]; weights of the classes as they are."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return labels.astype(dtype)
    return jax.nn.one_hot(labels, num_classes, dtype=dtype)


def embedded(embed, labels: jax.Array) -> jax.Array:
    """Labels int [N] -> rows of a Linen `Embed`; with weights, the weighted mean of its rows: [N, features]."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return labels.astype(embed.embedding.dtype) @ embed.embedding
    return embed(labels)
