"""What a training returns: the trained networks, the metrics, and where they are."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cganjax import metrics_lines, models, sampling
from cganjax.data import known
from cganjax.models import Networks
from cganjax.spec import ImageSpec
from cganjax.training import config as cfg
from cganjax.training import runs
from cganjax.training.config import Config
from cganjax.types import Weights


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped a training after a whole step; `run` is the `TrainedRun` up to there.

    It is a KeyboardInterrupt, so that `except Exception` lets it pass.

    >>> import cganjax, dataclasses
    >>> config = dataclasses.replace(cganjax.recipe("pattern_1010"), steps=50)
    >>> try:
    ...     run = cganjax.train(config, progress=False)
    ... except cganjax.Interrupted as stopped:
    ...     run = stopped.run
    >>> run.step
    50
    """

    def __init__(self, run: "TrainedRun"):
        where = "kept in memory" if run.folder is None else f"saved in {run.folder}; the same call resumes"
        super().__init__(f"stopped at step {run.step} of {run.config.steps}, {where}")
        self.run = run


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """What `cganjax.train` returns: the networks, the metrics, and where they are.

    >>> import cganjax, dataclasses
    >>> config = dataclasses.replace(cganjax.recipe("pattern_1010"), steps=50)
    >>> run = cganjax.train(config, progress=False)
    >>> run.step, run.folder, run.classifier
    (50, None, None)
    >>> run.generator.spec.shape
    (1, 4, 1)
    """

    config: Config  # the resolved run
    spec: ImageSpec  # of the images
    folder: Path | None  # the run folder; None if nothing was written
    step: int  # updates done in all
    begun: int  # updates that were done before this call
    seconds: float  # this call's time in the training loop
    metrics: list[dict[str, Any]] = dataclasses.field(repr=False)  # the rows of metrics.jsonl, oldest first
    # The networks' weights by role, and what a card says of the run. None: they are read from the folder.
    _weights: Mapping[str, Weights] | None = dataclasses.field(default=None, repr=False)
    _card: Mapping[str, Any] | None = dataclasses.field(default=None, repr=False)

    @functools.cached_property
    def generator(self) -> sampling.Generator | None:
        """The trained generator, as `cganjax.load(folder)` returns it; None if the recipe trains a classifier."""
        networks = self._networks
        if networks.generator is None:
            return None
        if self._weights is None:
            return sampling.load(self.folder)
        return sampling.Generator(**self._loaded("generator", networks.generator), latent_size=networks.latent_size)

    @functools.cached_property
    def classifier(self) -> sampling.Classifier | None:
        """The trained classifier, or a discriminator that serves as one; None if there is neither."""
        networks = self._networks
        if networks.classifier is None:
            return None
        if self._weights is None:
            return sampling.load_classifier(self.folder)
        return sampling.Classifier(
            **self._loaded("classifier", networks.classifier),
            scores=networks.scores,
            apply_features=networks.classifier.features,
        )

    @functools.cached_property
    def _networks(self) -> Networks:
        return models.build(self.config, self.spec)

    def _loaded(self, role: str, network: models.Network) -> dict[str, Any]:
        """The fields that every loaded network has."""
        return {
            "weights": self._weights.get(role, self._weights.get("discriminator")),
            "num_classes": self._networks.num_classes,
            "spec": self.spec,
            "card": self._card,
            "apply": network.apply,
        }


def of(run: runs.Run | runs.InMemory, networks: Networks, state: Any, begun: int, seconds: float) -> TrainedRun:
    """The run after its last step, with the weights that sampling uses."""
    config, step, rows = run.config, int(state.step), run.metrics.rows
    common = (config, networks.spec, run.folder, step, begun, seconds, rows)
    if run.folder is not None and config.keep_best:
        return TrainedRun(*common)  # the best checkpoint is in the folder
    weights = getattr(run, "best", None) or state.weights()
    roles = [role for role in ("generator", "discriminator", "classifier") if getattr(networks, role)]
    name = config.recipe if run.folder is None else run.folder.name
    last = {k: v for row in rows if row["step"] == rows[-1]["step"] for k, v in row.items()}
    card = sampling.card_of_run(name, cfg.to_json(config), run.manifest, roles, step, last)
    return TrainedRun(*common, weights, card)


def untouched(run: runs.Run) -> TrainedRun:
    """A run that had come as far as was asked for."""
    manifest = run.finished()
    rows = metrics_lines.read(run.folder)
    return TrainedRun(run.config, known.recorded(manifest["data"]), run.folder, run.done, run.done, 0.0, rows)
