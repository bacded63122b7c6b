"""What a classifier's numbers are, and the confidences that follow from them.

"logits" belong to a softmax over the classes, "sigmoid" to one sigmoid a class, "probabilities" are confidences.
"""

import jax


def confidences(numbers: jax.Array, scores: str) -> jax.Array:
    """The confidence of each class: numbers float [..., K] -> float [..., K] in [0, 1]."""
    return {"logits": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "probabilities": lambda x: x}[scores](numbers)
