"""The engine against a plain loop: student steps a second, by batch size and ranks too; operations, memory, shares.

    python benchmarks/throughput.py                                      all of it
    python benchmarks/throughput.py --device cuda --precision bfloat16   on a GPU; the plain loop stays in float32
    python benchmarks/throughput.py --parts speed --pairs wrn-16-1       some of it, minutes each

Measures the chosen parts, again if the file has them, and files them in benchmarks/results/throughput.json under the
hardware, the precision and the pair of networks. All else in the file is kept. throughput.png draws the whole file.
Loops run in turn, each time in a process of its own, and nothing else should run beside them. A part that fails is
reported in a line, and the exit code is 1.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from analysis import plots
from benchmarks import RESULTS, loops, parts
from benchmarks.loops import LOOPS, PAIRS, SMALL, Setting
from benchmarks.parts import Part, Record, Result, shares
from benchmarks.scaling import counts, scaling
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.machine import hardware

BATCH_SIZES = (16, 32, 64, 128)
FEWER = {"repeats": 3, "epochs": 2}  # where the batch size varies


@dataclass(frozen=True)
class Plan(parts.Plan):
    """Setting and lengths of the measurement of one pair of networks."""

    seconds: float
    """About so long an epoch of a timed loop."""

    repeats: int
    batch_sizes: Sequence[int]


def memory(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    return {"mb": {name: loops.memory(plan.setting, name) for name in plan.loops}}


def speed(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    rounds = loops.rounds_of(plan.setting, plan.seconds)
    times = loops.in_turn(plan.setting, plan.loops, rounds, plan.repeats)
    return {"batch_size": plan.setting.batch_size, "rounds": rounds, **times}


def batches(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    """Speed of the engine and of the plain loop by batch size."""
    times, warned = {}, []
    for size in plan.batch_sizes:
        setting = replace(plan.setting, batch_size=size)
        rounds = loops.rounds_of(setting, plan.seconds)
        times[str(size)] = loops.in_turn(setting, ["engine", "reference"], rounds, **FEWER)
        warned += times[str(size)].pop("warnings", [])
    return {"by_size": times} | ({"warnings": warned} if warned else {})


def ranks(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    """Speed of the engine on several ranks, a list over the repeats."""
    rounds, sizes = loops.rounds_of(plan.setting, plan.seconds), counts(plan.setting.device)
    rates = [scaling(plan.setting, rounds, sizes) for _ in range(plan.repeats)]
    return {"steps_per_second": {size: [rate[size] for rate in rates] for size in rates[0]}}


PARTS = {
    "memory": Part(memory), **parts.SHARED, "speed": Part(speed), "batches": Part(batches), "ranks": Part(ranks),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    return command.run(
        "throughput.py", lambda: measure(parse(arguments)), interrupted="interrupted; what was measured is kept"
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the engine")
    parser.add_argument("--compile", choices=("off", "default", "reduce-overhead"), default="off", help="of the engine")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(SMALL))
    parser.add_argument("--batch-size", type=count, default=64, help="of all parts but batches")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=count, default=5, help="times that each loop is timed")
    parser.add_argument("--seconds", type=float, default=1.0, help="about so long an epoch, of which three are timed")
    parser.add_argument("--batch-sizes", type=count, nargs="+", default=list(BATCH_SIZES))
    parser.add_argument("--out", type=Path, default=RESULTS / "throughput.json", help="the JSON file")
    return parser.parse_args(arguments)


def count(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: it must be a whole number, 1 or more")
    return int(text)


def measure(options: argparse.Namespace) -> int:
    """Measures the chosen parts of each pair, draws the file, prints the ratios; 1 if a part failed."""
    how = options.device, options.precision, options.batch_size, options.compile
    settings = [Setting(pair, *how) for pair in options.pairs]
    place, failed = where(settings[0]), []
    chosen = {name: part for name, part in PARTS.items() if name in options.parts}
    for setting in settings:
        say(f"{setting.pair} on {place}")
        record = Record(options.out, place, setting.pair, follows=partial(shares, precision=setting.precision))
        plan = Plan(setting, tuple(LOOPS), options.seconds, options.repeats, options.batch_sizes)
        failed += parts.measure(chosen, plan, record.keep).failed
    figure = plots.throughput(record.content)
    figure.savefig(options.out.with_suffix(".png"), metadata={"Software": None})
    say("\n".join(lines(record.content[place])))
    return 1 if failed else 0


def where(setting: Setting) -> str:
    """Hardware, precision and compiler: the place of results in the file. Raises ConfigError for a missing device."""
    setting.config(1)
    how = setting.precision if setting.compile == "off" else f"{setting.precision}, compile {setting.compile}"
    return f"{hardware(setting.device)}, {how}"


def lines(pairs: dict) -> list[str]:
    """The speed ratios of one place, a line each."""
    text = []
    for pair, results in pairs.items():
        for name, ratio in results.get("speed", {}).get("engine_over", {}).items():
            spread = f"{ratio['lowest']:.2f} to {ratio['highest']:.2f}, n = {ratio['n']}"
            text.append(f"{pair}: the engine is {ratio['median']:.2f} times as fast as the loop {name!r} ({spread})")
    return text


if __name__ == "__main__":
    sys.exit(main())
