"""Sheets of images that show a generator's latent space: each function takes latents and returns images in rows.

Between latents the path is a great circle (White, arXiv 1609.04468): half-way along a straight line, latents would be
shorter than nearly all those of the training.
"""

from typing import Any

import numpy as np

STEPS = 12  # images from one end of a path to the other


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """From a [L] to b [L] along a great circle, t in 0..1; the length goes from that of a to that of b."""
    size_a, size_b = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.dot(a / size_a, b / size_b), -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # there is no circle through points of one line
        return (1 - t) * a + t * b
    direction = (np.sin((1 - t) * angle) * a / size_a + np.sin(t * angle) * b / size_b) / np.sin(angle)
    return direction * ((1 - t) * size_a + t * size_b)


def between_latents(generator: Any, z: np.ndarray) -> Any:
    """One row per class, from one latent to another, with two of z [2 K, L] per class: [K * STEPS, H, W, C]."""
    ways = [[slerp(a, b, t) for t in np.linspace(0, 1, STEPS)] for a, b in zip(z[::2], z[1::2], strict=True)]
    return generator(np.concatenate(ways), np.repeat(np.arange(len(ways)), STEPS))


def between_classes(generator: Any, z: np.ndarray) -> Any:
    """One row per class, from it to the next class, all at the one latent z [1, L]: [K * STEPS, H, W, C]."""
    classes, t = generator.num_classes, np.linspace(0, 1, STEPS)[:, None]
    one = np.eye(classes)
    weights = np.concatenate([(1 - t) * one[k] + t * one[(k + 1) % classes] for k in range(classes)])
    return generator.between(np.repeat(z, len(weights), axis=0), weights)


def one_latent_each_row(generator: Any, z: np.ndarray) -> Any:
    """One row per latent of z [N, L], with every class: [N * K, H, W, C]."""
    classes = generator.num_classes
    return generator(np.repeat(z, classes, axis=0), np.tile(np.arange(classes), len(z)))


def truncated(generator: Any, z: np.ndarray, sizes: Any) -> np.ndarray:
    """One row per truncation, each of the same latents z [N, L], half of them in one class, half in another.

    Returns:
      float32 [R, N, H, W, C].
    """
    two = (2, 7) if generator.num_classes > 7 else (0, generator.num_classes - 1)
    labels = np.repeat(two, len(z) // 2)
    return np.stack([np.asarray(generator(z * np.float32(size), labels)) for size in sizes])
