"""The records of `analysis.studies.comparison`: each method at the quick size over seeds.

    python benchmarks/methods.py record                  runs what the records lack, a process each
    python benchmarks/methods.py record dafl --seeds 0   some of it
    python benchmarks/methods.py check dafl 0            runs one again and compares it with its record

The references need the training images, which CUDFKD_DATA names. After recording, cudfkd/assets/methods.json holds what
`cudfkd methods` says of seconds and memory. Exit code 1: a repeated accuracy differs by 2 points or more.
"""

import argparse
import subprocess
import sys

import torch

from analysis.studies import comparison
from cudfkd import methods
from cudfkd.base.errors import CudfkdError
from cudfkd.base.files import write_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser("record", help="run what the records lack")
    many.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(methods.names()))
    many.add_argument("--seeds", type=int, nargs="+", default=list(comparison.SEEDS))
    for name, told in (("check", "run one again and compare"), ("one", "run one and write its record")):
        single = commands.add_parser(name, help=told)
        single.add_argument("method")
        single.add_argument("seed", type=int)
    asked = parser.parse_args()
    try:
        if asked.command == "record":
            return record([methods.get(name) and name for name in asked.methods] or methods.names(), asked.seeds)
        if asked.command == "check" and (threads := comparison.read(asked.method, asked.seed).threads):
            torch.set_num_threads(threads)
        found = comparison.measure(asked.method, asked.seed)
        print(f"{asked.method} seed {asked.seed}: {found.accuracy:.4f} in {found.seconds:.0f} s", flush=True)
        if asked.command == "one":
            comparison.write(found)
            return 0
        return check(found)
    except CudfkdError as error:
        print(f"methods.py: {error}", file=sys.stderr)
        return 2


def record(names: list[str], seeds: list[int]) -> int:
    """A process for each run, whose peak memory then is the run's. A run that fails does not stop the others."""
    failed = 0
    for seed in seeds:
        for method in names:
            if not comparison.is_current(method, seed):
                failed |= subprocess.run([sys.executable, __file__, "one", method, str(seed)], check=False).returncode
            write_json(methods.COSTS, comparison.costs(comparison.recorded()))
    return failed


def check(found: comparison.Recorded) -> int:
    """Compares with the record."""
    old = comparison.read(found.method, found.seed)
    repeat = comparison.compare(old, found)
    said = "every metric is the same" if repeat.identical else f"{100 * repeat.difference:+.2f} points"
    print(f"recorded: {old.accuracy:.4f}; {said}")
    return int(abs(repeat.difference) >= 0.02)


if __name__ == "__main__":
    sys.exit(main())
