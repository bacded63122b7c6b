"""From a checkpoint to images: `load`, `sample`, and the networks that they hand out. Pixels here are in [0, 1]."""

from cganjax.sampling.cards import card_of_run, metrics_at
from cganjax.sampling.generation import latents, sample, sample_from
from cganjax.sampling.loading import load, load_classifier, load_discriminator, read_run
from cganjax.sampling.records import Classifier, Discriminator, Generator

__all__ = [
    "Classifier",
    "Discriminator",
    "Generator",
    "card_of_run",
    "latents",
    "load",
    "load_classifier",
    "load_discriminator",
    "metrics_at",
    "read_run",
    "sample",
    "sample_from",
]
