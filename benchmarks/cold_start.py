"""What a fresh process pays until its first images are there, with JAX's compilation cache and without.

    python -m benchmarks.cold_start
    python -m benchmarks.cold_start --repeats 5 --json FILE

Each time is of a new interpreter from start to end; they are run in turn, after a round that warms the file cache and
fills the compilation cache. Ratios are to the line that draws ten images, so the bare JAX call's inverse is what that
line costs beside any use of JAX at all. The cache of the warm rows is a temporary folder, named as users may name
theirs: by JAX_COMPILATION_CACHE_DIR, and JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 so that small programs are kept
too. First it is asserted that the drawing line imports none of the packages that only training and files need.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import timing
from cganjax import cli

JAX, BOTH = "import jax", "import jax, cganjax"
BARE = "import jax; jax.random.normal(jax.random.key(0), (10, 28, 28, 1)).block_until_ready()"
DRAW = "import jax, cganjax; cganjax.sample(jax.random.key(0), range(10)).block_until_ready()"
HEAVY = ("PIL", "matplotlib", "optax", "orbax", "scipy", "sklearn", "tensorflow", "tensorflow_datasets", "torch")
COLD, WARM = "ten images from process start, no cache", "ten images from process start, warm cache"
MODULES = f"""
{DRAW}
import sys
found = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(found & set({HEAVY!r})))
print(len(sys.modules))
"""


def environment(cache: str | None) -> dict[str, str]:
    """This process's variables with no compilation cache, of our commands too, or with one in a folder."""
    values = {name: v for name, v in os.environ.items() if not name.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))}
    if not cache:
        return values | {"CGANJAX_CACHE_DIR": ""}
    return values | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


def process(code: str, cache: str | None = None) -> str:
    """What a fresh interpreter that runs `code` prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment(cache), stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def check_modules() -> int:
    """The number of modules that the drawing line has imported; an error where a heavy package is among them."""
    heavy, number = process(MODULES).split("\n")[:2]
    assert not heavy, f"drawing ten images imports {heavy}"
    return int(number)


def measure(args) -> Iterator[timing.Row]:
    """Rows of imports, and of the bare call and ten images with both kinds of cache."""
    number = check_modules()

    def side(code, cache=None):
        return lambda: process(code, cache)

    with tempfile.TemporaryDirectory() as cache:
        sides = {
            "python -c pass": side("pass"),
            JAX: side(JAX),
            BOTH: side(BOTH),
            "bare": side(BARE),
            "draw": side(DRAW),
            "bare, warm": side(BARE, cache),
            "draw, warm": side(DRAW, cache),
        }
        seconds = timing.in_turn(sides, args.repeats, pause=0.1)
        kept = len([name for name in Path(cache).iterdir() if name.name.endswith("-cache")])
    imports = {timing.OURS: seconds[BOTH], JAX: seconds[JAX], "python -c pass": seconds["python -c pass"]}
    yield from timing.rows("import, from process start", imports, "s", **{timing.OURS: BOTH})
    notes = {timing.OURS: f"{number} modules, none of {', '.join(HEAVY)}", "bare JAX call": "normal, [10, 28, 28, 1]"}
    yield from timing.rows(COLD, {timing.OURS: seconds["draw"], "bare JAX call": seconds["bare"]}, "s", **notes)
    notes[timing.OURS] = f"{_ratio(seconds):.2f} times the bare call; {kept} programs in the cache"
    yield from timing.rows(
        WARM, {timing.OURS: seconds["draw, warm"], "bare JAX call": seconds["bare, warm"]}, "s", **notes
    )


def _ratio(seconds) -> float:
    """Of the medians of a drawing and a bare call, both with a warm cache."""
    ours, bare = (sorted(seconds[name])[len(seconds[name]) // 2] for name in ("draw, warm", "bare, warm"))
    return ours / bare


def main(argv=None):
    """The command."""
    return timing.command("cold_start", __doc__, measure, argv, repeats=7)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
