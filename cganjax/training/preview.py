"""The sample grids that a run writes while it trains."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import pixels, report, rng
from cganjax.models import Networks

COLUMNS = 10
ROWS = 100  # of more classes only the first ones are shown


class Preview:
    """A hook that writes `STEP.png`, always of the same latents: one row per class, or ten rows if there are none."""

    def __init__(self, folder: Path, networks: Networks, key: jax.Array, columns: int = COLUMNS):
        """Choose the latents.

        Args:
          folder: where the pictures go.
          networks: have a generator.
          key: the run's.
          columns: images in a row.
        """
        classes, latents = networks.num_classes, rng.stream(key, "preview")
        if classes is None:
            self._inputs = (jax.random.normal(latents, (columns * columns, networks.latent_size)),)
        else:
            z, classes = jax.random.normal(latents, (columns, networks.latent_size)), min(classes, ROWS)
            self._inputs = (jnp.tile(z, (classes, 1)), jnp.repeat(jnp.arange(classes), columns))
        self._folder, self._columns, self._spec = folder, columns, networks.spec
        self._generate = jax.jit(networks.generator.apply)
        self.last: Path | None = None  # the newest picture

    def __call__(self, step: int, state: Any) -> None:
        """Generate images from the state and write the picture."""
        images = pixels.signed_to_unit(self._generate(state.weights()["generator"], *self._inputs))
        self.last = self._folder / f"{step:06d}.png"
        report.save_png(self.last, report.grid(np.asarray(images), self._columns, self._spec))
