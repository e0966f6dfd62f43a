"""The search of `analysis.studies.tuning`, the same for every method.

python benchmarks/tune.py              goes on where it stopped, trial by trial
python benchmarks/tune.py dafl dfq     of some methods
python benchmarks/tune.py --choose     writes profiles/tuning/chosen.json from the complete ones
"""

import argparse
import sys

from analysis.studies import tuning
from cudfkd.base.errors import CudfkdError
from cudfkd.base.files import write_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(tuning.SPACE))
    parser.add_argument("--choose", action="store_true", help="write what the search chose")
    asked = parser.parse_args()
    try:
        if asked.choose:
            write_json(tuning.CHOSEN, tuning.choose())
            return 0
        for method in asked.methods or tuning.SPACE:
            best = max((one["accuracy"] or 0.0 for one in tuning.tune(method)), default=0.0)
            print(f"{method}: best of {tuning.TRIALS} on dev {best:.4f}", flush=True)
    except CudfkdError as error:
        print(f"tune.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
