"""The attacks by gradients: settings of the one descent in gradient.py."""

from typing import Any

import jax

from cganjax.decoys.attacks import gradient
from cganjax.decoys.attacks.gradient import Descent
from cganjax.decoys.attacks.task import Found, Task


def _descend(keys: jax.Array, task: Task, **settings: Any) -> Found:
    return Found(*gradient.descend(keys, task.goal, task.bounds, task.labels, task.norm, Descent(**settings)))


def fgsm(keys: jax.Array, task: Task) -> Found:
    """One step of the whole epsilon along the sign of the gradient. Goodfellow et al. (arXiv 1412.6572), section 4.

    For a curve, `attacks.grid.over_epsilons` makes the images of all epsilons in one call.
    """
    return _descend(keys, task, steps=1, share=1.0, best=False)


def bim(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125) -> Found:
    """Small steps from the clean image. Kurakin et al. (arXiv 1607.02533), section 2.2."""
    return _descend(keys, task, steps=steps, share=share)


def pgd(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125) -> Found:
    """Small steps from a random start. Madry et al. (arXiv 1706.06083), section 2.1."""
    return _descend(keys, task, steps=steps, share=share, random_start=True)


def mi(keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125, momentum: float = 0.75) -> Found:
    """Steps along the decaying sum of the gradients. Dong et al. (arXiv 1710.06081), eq. 6 and 7, decay 1 there."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum)


def di(
    keys: jax.Array,
    task: Task,
    *,
    steps: int = 20,
    share: float = 0.125,
    momentum: float = 1.0,
    diversity: float = 0.5,
) -> Found:
    """`mi` on images shrunk and placed at random at each step. Xie et al. (arXiv 1803.06978), eq. 4, M-DI2-FGSM."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, diversity=diversity, best=False)


def ti(
    keys: jax.Array, task: Task, *, steps: int = 20, share: float = 0.125, momentum: float = 1.0, translation: int = 2
) -> Found:
    """`mi` along gradients averaged over small shifts. Dong et al. (arXiv 1904.02884), eq. 8."""
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, translation=translation)


def ensemble(
    keys: jax.Array, task: Task, *, steps: int = 30, share: float = 0.1, momentum: float = 1.0, views: int = 2
) -> Found:
    """The attack that transfers best: `mi` over several classifiers and views; it returns the last image, not the best.

    Several classifiers: Liu et al. (arXiv 1611.02770), section 5. Views: Athalye et al. (arXiv 1707.07397), eq. 3.
    docs/results/decoys.md says against which classifiers these settings were chosen.
    """
    return _descend(keys, task, steps=steps, share=share, momentum=momentum, views=views, best=False)
