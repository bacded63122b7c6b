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

    from cganjax import runs, sampling

    for package, version in runs.versions().items():
        print(f"{package:20} {version}")
    print(f"{'devices':20} {', '.join(f'{d.platform} {d.device_kind}' for d in jax.devices())}")
    damaged = 0
    for name in ckpt.shipped():
        try:
            images = sampling.sample(jax.random.key(0), [0], checkpoint=name)
            found = f"whole; image {tuple(images.shape[1:])}, mean ink {float(images.mean()):.3f}"
        except ValueError as error:
            damaged, found = damaged + 1, f"DAMAGED: {error}"
        print(f"{'checkpoint ' + name:20} {found}")
    return cli.FAILED if damaged else cli.DONE
