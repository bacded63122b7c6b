"""How many images are generated at once."""

import jax

# Sizes that are compiled for: a call is padded to the next one, and a longer call is made in chunks of the last one.
# On a CPU the smallest above 1 is 32, because XLA rounds other batches in another way there, and image i should be
# image i to the bit. Nothing is larger, because the intermediate results of many images are mapped and unmapped at each
# call, and because two halves keep two cores busy.
CHUNKS = (1, 32)
CHUNKS_OF_ACCELERATORS = (1, 64, 256, 1024)  # larger ones keep an accelerator busy


def sizes() -> tuple[int, ...]:
    """The sizes for the device that JAX uses, smallest first."""
    return CHUNKS if jax.default_backend() == "cpu" else CHUNKS_OF_ACCELERATORS
