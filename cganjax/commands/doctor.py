"""Say what this installation has: versions, devices, and whether every shipped checkpoint is whole."""

from cganjax import checkpoint as ckpt
from cganjax import cli


def main(argv=None) -> int:
    """Print the findings; exit code 1 where a checkpoint is damaged."""
    parser = cli.Parser(prog="python -m cganjax doctor", description=__doc__)
    cli.add_backend(parser)
    args = parser.parse_args(argv)
    cli.choose_backend(args.backend)
    import jax

    from cganjax import sampling
    from cganjax.training import runs

    for package, version in runs.versions().items():
        print(f"{package:20} {version}")
    print(f"{'devices':20} {', '.join(f'{d.platform} {d.device_kind}' for d in jax.devices())}")
    damaged = 0
    for name, folder in ckpt.shipped().items():
        try:
            found = f"whole; {'; '.join(_try(sampling, name, role) for role in ckpt.read_card(folder)['roles'])}"
        except ValueError as error:
            damaged, found = damaged + 1, f"DAMAGED: {error}"
        print(f"{'checkpoint ' + name:20} {found}")
    return cli.FAILED if damaged else cli.DONE


def _try(sampling, name: str, role: str) -> str:
    """One pass of a checkpoint in one of its roles, and what came out."""
    import jax
    import jax.numpy as jnp

    if role == "generator":
        generator = sampling.load(name)
        asked = {"n": 1} if generator.num_classes is None else {"labels": [0]}
        images = sampling.sample_from(generator, jax.random.key(0), **asked)
        return f"generator, image {tuple(images.shape[1:])}, mean ink {float(images.mean()):.3f}"
    if role not in ("classifier", "discriminator"):
        return role  # what a classifier serves as among decoys
    network = (sampling.load_classifier if role == "classifier" else sampling.load_discriminator)(name)
    inputs = [jnp.zeros((1, *network.image_shape))]
    if getattr(network, "needs_labels", False):
        inputs.append([0])
    return f"{role}, output {tuple(network(*inputs).shape[1:])}"
