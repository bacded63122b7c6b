"""Damage to the files of a run's checkpoint: how much of it is noticed, and whether any of it changes a state silently.

    python -m benchmarks.damage                     # a small run of the recipe `digits` is trained first
    python -m benchmarks.damage --run runs/mnist-s0 --flips 50

Each file of the newest checkpoint in a copy of the run is damaged in many ways: a byte set to another value, cut short
at a random length, emptied, removed. After each damage the checkpoint is read as a resumed run reads it:

- noticed: the checkpoint is called damaged; the newest sound older one is found instead, if there is one;
- harmless: the state is the one that was saved, bit for bit, and so is its rank for `--keep best`;
- SILENT: anything else. The command then ends with exit code 1.
"""

import argparse
import collections
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cganjax import cli, digests, run_states
from cganjax.types import CheckpointError

NOTICED, HARMLESS, SILENT = "noticed", "harmless", "SILENT"
TINY = """steps=6 batch_size=8 log_every=3 sample_every=6 checkpoint_every=3 generator.latent_size=8
    generator.embedding=4 generator.hidden=16 generator.width_7=8 generator.width_14=8
    discriminator.width_14=4 discriminator.width_7=8 discriminator.hidden=16""".split()


def damages(data: bytes, flips: int, random: np.random.Generator) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Ways to damage a file that holds `data`: what each is called, and what it does to the file."""
    for _ in range(flips if data else 0):
        place, change = random.integers(len(data)), random.integers(1, 256)
        flipped = data[:place] + bytes([data[place] ^ int(change)]) + data[place + 1 :]
        yield f"byte {place} ^ {change}", lambda path, flipped=flipped: path.write_bytes(flipped)
    for _ in range(min(len(data), max(flips // 10, 1))):
        length = int(random.integers(len(data)))
        yield f"cut to {length}", lambda path, length=length: path.write_bytes(data[:length])
    yield "emptied", lambda path: path.write_bytes(b"")
    yield "removed", lambda path: path.unlink()


def outcome(run: Path, step: int, saved: dict[str, str], loss: float | None) -> str:
    """What reading the checkpoint of a step gives, if it was saved with these digests and this loss."""
    states = run_states.RunStates(run)
    try:
        found = states.restore(None, step)
        recorded, rank = states.digests(step), states.loss(step)
    except CheckpointError:
        return NOTICED
    same = digests.of_tree(found) == saved and recorded in (saved, None) and rank == loss
    return HARMLESS if same else SILENT


def damage(run: Path, step: int, flips: int, seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """Damage each file of a checkpoint in turn, and put it back: (file, damage, outcome)."""
    states, random = run_states.RunStates(run), np.random.default_rng(seed)
    saved, loss = digests.of_tree(states.restore(None, step)), states.loss(step)
    folder = states.folder / str(step)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for name, act in damages(data, flips, random):
            act(path)
            yield str(path.relative_to(folder)), name, outcome(run, step, saved, loss)
        path.write_bytes(data)


def main(argv: Sequence[str] | None = None) -> int:
    """Damage a copy of a run, and print a row for each kind of file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.damage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run folder; it is copied (default: a small run is trained)")
    parser.add_argument("--flips", type=int, default=300, help="flips of a byte in each file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses them (default: %(default)s)")
    args = parser.parse_args(argv)
    cli.choose_backend("cpu")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if args.run:
            shutil.copytree(args.run, run)
        else:
            _train(run)
        step = run_states.RunStates(run).steps()[-1]
        counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        silent = []
        for file, name, found in damage(run, step, args.flips, args.seed):
            counts[_kind(file)][found] += 1
            if found == SILENT:
                silent.append(f"{file}: {name}")
    print(f"{'file':40}{NOTICED:>10}{HARMLESS:>10}{SILENT:>10}")
    for kind, count in [*counts.items(), ("all", sum(counts.values(), collections.Counter()))]:
        print(f"{kind:40}{count[NOTICED]:>10}{count[HARMLESS]:>10}{count[SILENT]:>10}")
    print(*silent, sep="\n")
    return cli.FAILED if silent else cli.DONE


def _kind(file: str) -> str:
    """Data files have random names."""
    head, _, name = file.rpartition("/")
    return f"{head}/*" if head.endswith("/d") else file


def _train(run: Path) -> None:
    import cganjax
    from cganjax.training import config as cfg

    cganjax.train(cfg.override(cganjax.recipe("digits"), TINY), out=run, progress=False)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
