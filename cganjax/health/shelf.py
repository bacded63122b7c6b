"""Checks of the shipped checkpoints: every file against its digest, and one sample."""

from collections.abc import Iterator

import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import rng
from cganjax.health.finding import OK, WRONG, Finding
from cganjax.types import CheckpointError

AGAIN = "install cganjax again, or get the folder from the repository (git checkout -- checkpoints/{name})"


def checkpoints() -> Iterator[Finding]:
    """Every file of each shipped checkpoint, and one image or output in each of its roles."""
    shipped = ckpt.shipped()
    if not shipped:
        yield Finding(WRONG, "there are none: cganjax was installed without them", "install cganjax again")
    for name, folder in shipped.items():
        try:
            ckpt.verify(folder)
            tried = "; ".join(_tried(name, role) for role in ckpt.read_card(folder)["roles"])
        except CheckpointError as error:
            yield Finding(WRONG, f"checkpoint {name}: {error}", AGAIN.format(name=name))
        else:
            held = ", ".join(sorted(path.name for path in folder.iterdir()))
            yield Finding(OK, f"checkpoint {name} is intact ({held}): {tried}")


def _tried(name: str, role: str) -> str:
    """Use a checkpoint once in one of its roles, and say what came out."""
    from cganjax import sampling

    if role == "generator":
        generator = sampling.load(name)
        asked = {"n": 1} if generator.num_classes is None else {"labels": [0]}
        return f"generator, image {tuple(sampling.sample_from(generator, rng.root(0), **asked).shape[1:])}"
    if role not in ("classifier", "discriminator"):
        return role  # what a classifier is used for with decoys or metrics
    network = (sampling.load_classifier if role == "classifier" else sampling.load_discriminator)(name)
    inputs = [np.zeros((1, *network.image_shape), np.float32)]
    if getattr(network, "needs_labels", False):
        inputs.append([0])
    return f"{role}, output {tuple(network(*inputs).shape[1:])}"


# The mean of each of 4x4 fields of image 0 of the default checkpoint, for seed 0 and this label.
LABEL = 3
FIELDS = (
    (0.0000, 0.0557, 0.1589, 0.0000),
    (0.0000, 0.1407, 0.2794, 0.0000),
    (0.0001, 0.1697, 0.2086, 0.0000),
    (0.0000, 0.1408, 0.1363, 0.0000),
)
TOLERANCE = 2e-3  # of a field's mean: on an accelerator products have fewer bits


def sample() -> Iterator[Finding]:
    """One image of the default checkpoint, against the recorded one."""
    from cganjax import sampling

    image = np.asarray(sampling.sample(rng.root(0), [LABEL]))[0].mean(-1)
    height, width = image.shape
    fields = image.reshape(4, height // 4, 4, width // 4).mean((1, 3))
    apart = float(np.abs(fields - FIELDS).max())
    if apart <= TOLERANCE:
        yield Finding(OK, f"image 0 of {ckpt.DEFAULT} is the recorded one to {apart:.0e} (allowed {TOLERANCE:.0e})")
    else:
        yield Finding(
            WRONG,
            f"image 0 of {ckpt.DEFAULT} differs from the recorded one by {apart:.1e}: expected {TOLERANCE:.0e} at most",
            "see what is wrong above; if nothing is, install the tested versions (constraints.txt)",
        )
