"""The cost of a probe: the same run without one and with one at every tenth round of 64 latents, in turns.

    python benchmarks/probe.py [--pairs 5] [--round-steps 2]

Prints seconds and share of each pair of runs, and writes benchmarks/results/probe.json. The first pair is a warm-up and
is not counted. The share is (seconds with - seconds without) / seconds without, of the training alone, as metrics.jsonl
has them.
"""

import sys
from statistics import median

import cudfkd
from analysis.live.accounts import account
from analysis.live.probe import Probe
from benchmarks import RESULTS
from cudfkd import data
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.files import write_json
from cudfkd.base.machine import made
from cudfkd.engine.experiments import build

MOST = 0.30  # the share of the run's time that a probe may take


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="student steps of a run")
    parser.add_argument("--round-steps", type=int, default=2, help="student steps a round: 2 here, 10 in the scripts")

    def program() -> int:
        options = parser.parse_args(arguments)
        return compare(options.pairs, options.steps, options.round_steps)

    return command.run("probe.py", program)


def compare(pairs: int, steps: int, round_steps: int) -> int:
    """Times the pairs of runs and writes the file; 1 if a probe costs too much, or its accounts do not add up."""
    rows, residual = [], 0.0
    for pair in range(pairs + 1):
        probe = Probe(every=10, samples=64)
        order = [None, probe] if pair % 2 else [probe, None]
        seconds = {watching is not None: train(steps, round_steps, watching) for watching in order}
        residual = max(residual, account(probe).worst())
        if pair:
            rows.append({"without": seconds[False], "with": seconds[True], "share": seconds[True] / seconds[False] - 1})
            say(str({name: round(value, 3) for name, value in rows[-1].items()}))
    share = median(row["share"] for row in rows)
    say(f"median share {share:.1%} of {len(rows)} pairs (at most {MOST:.0%}); worst residual {residual:.1e}")
    write_json(RESULTS / "probe.json", {
        "share": share, "most": MOST, "residual": residual, "pairs": rows, "steps": steps, "round_steps": round_steps,
        **made("cpu"),
    })  # fmt: skip
    return 0 if share <= MOST and residual <= 1e-12 else 1


def train(steps: int, round_steps: int, probe: Probe | None) -> float:
    """Seconds of training of one run, without evaluation."""
    about = data.info("fashion-mnist")
    config = cudfkd.DistillConfig(
        epochs=1, steps_per_epoch=steps, round_steps=round_steps, image_size=about.image_size, channels=about.channels
    )
    teacher, student, config = build(cudfkd.Experiment(distill=config))
    run = cudfkd.distill(teacher, student, config, callbacks=[probe] if probe else [])
    return float(run.rows[0]["seconds"] or 0.0)


if __name__ == "__main__":
    sys.exit(main())
