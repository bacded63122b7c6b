"""Examine this installation: what it has, whether it computes what it should, and what to do if it does not.

It examines versions, device and driver, threads, settings of JAX and XLA, memory, folders and disk. It compares random
values and one image with recorded ones, each operation of our networks, with and without jit, with NumPy, a repeated
step with itself, and every file of the shipped checkpoints with its digest. A line that begins with "note" is worth
knowing. What is "WRONG" needs to be mended. Exit codes: 0 nothing is wrong, 1 something is.
"""

import sys
import time

from cganjax import cli


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax doctor") -> int:
    """Print each finding as soon as it is known, then the verdict."""
    args = parser(prog).parse_args(argv)
    cli.choose_backend(args.backend)
    from cganjax import health

    began, wrong, before = time.perf_counter(), [], None
    for name, finding in health.examine():
        print(f"{finding.level:5}  {name if name != before else '':13}  {finding.said}", flush=True)
        if finding.advice:
            print(f"{'':22}-> {finding.advice}", flush=True)
        if finding.level == health.WRONG and name not in wrong:
            wrong.append(name)
        before = name
    seconds = time.perf_counter() - began
    if wrong:
        print(f"\nwrong: {', '.join(wrong)}; the lines above that begin with {health.WRONG} say what to do")
        return cli.FAILED
    print(f"\nall is well ({seconds:.0f} s)")
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
