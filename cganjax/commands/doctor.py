"""Say what this installation has: versions, devices, and whether every shipped checkpoint is intact."""

import sys

from cganjax import checkpoint as ckpt
from cganjax import cli


def main(argv=None, prog: str = "cganjax doctor") -> int:
    """Print the findings; exit code 1 if a checkpoint is damaged."""
    parser = cli.Parser(prog=prog, description=__doc__)
    cli.add_backend(parser)
    args = parser.parse_args(argv)
    cli.choose_backend(args.backend)
    import jax

    from cganjax.training import manifest

    for package, version in manifest.versions().items():
        print(f"{package:20} {version}")
    print(f"{'devices':20} {', '.join(f'{d.platform} {d.device_kind}' for d in jax.devices())}")
    damaged = 0
    for name, folder in ckpt.shipped().items():
        try:
            found = f"intact; {'; '.join(_tried(name, role) for role in ckpt.read_card(folder)['roles'])}"
        except ckpt.CheckpointError as error:
            damaged, found = damaged + 1, f"DAMAGED: {error}"
        print(f"{'checkpoint ' + name:20} {found}")
    return cli.FAILED if damaged else cli.DONE


def _tried(name: str, role: str) -> str:
    """Use a checkpoint once in one of its roles, and say what came out."""
    import jax
    import jax.numpy as jnp

    from cganjax import sampling

    if role == "generator":
        generator = sampling.load(name)
        asked = {"n": 1} if generator.num_classes is None else {"labels": [0]}
        images = sampling.sample_from(generator, jax.random.key(0), **asked)
        return f"generator, image {tuple(images.shape[1:])}, mean pixel {float(images.mean()):.3f}"
    if role not in ("classifier", "discriminator"):
        return role  # what a classifier is used for with decoys or metrics
    network = (sampling.load_classifier if role == "classifier" else sampling.load_discriminator)(name)
    inputs = [jnp.zeros((1, *network.image_shape))]
    if getattr(network, "needs_labels", False):
        inputs.append([0])
    return f"{role}, output {tuple(network(*inputs).shape[1:])}"


if __name__ == "__main__":
    sys.exit(cli.execute(main))
