"""What `import cganjax` costs beside `import jax`, and how long the first and later calls of `sample` take.

    python -m benchmarks.import_time

Each import is a fresh process; the two are run in turn. Medians, and the ratio that the README quotes.
"""

import argparse
import statistics
import subprocess
import sys
import time

SAMPLE = """
import time
began = time.perf_counter()
import jax, cganjax
key = jax.random.key(0)
for name, labels in (("first call, 10 images, from process start", range(10)), ("10 images, warm", range(10)),
                     ("1 image, first of its size", [3]), ("1 image, warm", [3]),
                     ("1,024 images, first of their size", [3] * 1024), ("1,024 images, warm", [3] * 1024)):
    if not name.startswith("first"):
        began = time.perf_counter()
    jax.block_until_ready(cganjax.sample(key, labels))
    print(f"{name:44} {1e3 * (time.perf_counter() - began):9.1f} ms")
"""


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs `code`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main(argv=None):
    """Print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args(argv).runs
    codes = {"bare interpreter": "pass", "import jax": "import jax", "import jax, cganjax": "import jax, cganjax"}
    times = {name: [] for name in codes}
    for i in range(runs + 1):  # the first round warms the file cache
        for name, code in codes.items():
            took = seconds(code)
            if i:
                times[name].append(took)
    for name, values in times.items():
        print(
            f"{name:44} {1e3 * statistics.median(values):9.1f} ms  ({1e3 * min(values):.0f} to {1e3 * max(values):.0f})"
        )
    ratio = statistics.median(times["import jax, cganjax"]) / statistics.median(times["import jax"])
    print(f"{'ratio to import jax':44} {ratio:9.3f}  (n = {runs})")
    subprocess.run([sys.executable, "-c", SAMPLE], check=True)


if __name__ == "__main__":
    main()
