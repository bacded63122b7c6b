"""The original decoy: every pixel is tried by itself, and all are changed at once."""

import jax
import numpy as np

from cganjax.decoys.attacks import norms, queries
from cganjax.decoys.attacks.objectives import LOST
from cganjax.decoys.attacks.parts import in_parts
from cganjax.decoys.attacks.task import Found, Task


def coordinate(
    keys: jax.Array, task: Task, *, step: float = 0.04, rounds: int = 5, stop: float = 0.5, reference: str = "current"
) -> Found:
    """Finite differences by queries: one more per round than an image has pixel values.

    In a round each pixel is raised by `step` alone. If that does not raise the highest confidence, the pixel is raised,
    else it is lowered; then the image is clipped. An image stays as it is once its confidence is below `stop`.

    Args:
      task: its `confidence` is lowered. If a value of it is `LOST` or more, the image lost a label that it should keep:
        such a pixel is not raised, and a round that ends there is undone and is the image's last.
      step: in pixels of [0, 1]. rounds: at most so many, so that step x rounds bounds the change.
      reference: a trial is compared with the value of the image before this round ("current"), or always with that of
        the clean image ("clean"), which is the rule of the published listing.

    References:
      A course project on label_score (2023), see recipe `label_score`. As there, trials are not clipped. The original
      kept no label, which is `keep_label=False`.
    """
    del keys
    value, bounds = task.confidence, task.bounds
    images = np.array(bounds.clean)
    n, shape, pixels = len(images), images.shape[1:], images[0].size
    current = queries.asked(value, images, np.arange(n))
    first, asked, over = current.copy(), np.ones(n, np.int64), np.zeros(n, bool)
    for _ in range(rounds):
        going = np.flatnonzero((current >= stop) & ~over)
        if not len(going):
            break
        rows, places = np.repeat(going, pixels), np.tile(np.arange(pixels), len(going))

        def spiked(i: np.ndarray, rows=rows, places=places) -> np.ndarray:
            """The values of trials i, each an image with one pixel raised."""
            tried = images[rows[i]].reshape(len(i), pixels)
            tried[np.arange(len(i)), places[i]] += np.float32(step)
            return np.asarray(value(tried.reshape(-1, *shape), rows[i]), np.float64)

        tried = in_parts(spiked, np.arange(len(rows)), min(queries.AT_ONCE, n * pixels)).reshape(len(going), pixels)
        up = tried <= (current if reference == "current" else first)[going, None]
        change = np.zeros_like(images)
        change[going] = np.where(up, step, -step).reshape(-1, *shape)
        moved = np.asarray(norms.project(task.norm, bounds, images + change))
        found = queries.asked(value, moved[going], going, n)
        asked[going] += pixels + 1
        held, lost = going[found < LOST], going[found >= LOST]
        images[held], current[held], over[lost] = moved[held], found[found < LOST], True
    return Found(images, asked)
