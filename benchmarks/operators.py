"""Where the time of a student step goes: the operators of the engine, by family.

    OMP_NUM_THREADS=1 python benchmarks/operators.py [--pair lenet5] [--rounds 100]

Runs the engine on the CPU under torch.profiler, after a shorter run that warms up. The start of the run counts, too, so
take many rounds. An operator counts without the operators that it calls. The profiler takes time itself, most of all
beside small operators. Prints the families, and files them in benchmarks/results/operators.json under the hardware.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks import RESULTS, loops, parts
from benchmarks.loops import PAIRS, Setting
from benchmarks.parts import Part, Record, Result
from benchmarks.throughput import count
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.machine import hardware

FAMILIES = {
    "convolutions, backward": ("convolution_backward",),
    "convolutions, forward": ("convolution",),
    "BatchNorm": ("batch_norm",),
    "pooling": ("pool",),
    "matrix products": ("mm", "matmul", "linear"),
    "optimizers": ("_fused_", "_foreach_"),
    "new memory": ("empty", "zeros", "resize"),
    "copies": ("copy", "clone", "contiguous", "cat", "stack", "index"),
}
"""words in the names of the operators; an operator belongs to the first family that has a word of its name"""
REST = "the rest"


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", choices=PAIRS, default="lenet5", help="the networks")
    parser.add_argument("--rounds", type=count, default=100, help="rounds of synthesis and student steps")
    parser.add_argument("--out", type=Path, default=RESULTS / "operators.json", help="the JSON file")

    def program() -> int:
        options = parser.parse_args(arguments)
        record = Record(options.out, hardware("cpu"))
        plan = Setting(options.pair), options.rounds
        outcome = parts.measure({options.pair: Part(families)}, plan, record.keep)
        if outcome.failed:
            return 1
        say("\n".join(lines(record.results[options.pair])))
        return 0

    return command.run("operators.py", program)


def families(plan: tuple[Setting, int], minutes: float) -> Result:  # noqa: ARG001
    """The operators of a student step, and of its share of the generator's steps.

    | key | value |
    |---|---|
    | families | by family, the largest first: share of the time, calls a student step, milliseconds a student step |
    | rounds | rounds that were profiled |
    """
    setting, rounds = plan
    steps = rounds * setting.round_steps
    loops.engine(setting, min(rounds, 10), 1)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        loops.engine(setting, rounds, 1)
    calls, seconds = defaultdict(int), defaultdict(float)
    for operator in profiled.key_averages():
        family = family_of(operator.key)
        calls[family] += operator.count
        seconds[family] += operator.self_cpu_time_total / 1e6
    whole = sum(seconds.values())
    ordered = sorted(seconds, key=lambda family: -seconds[family])
    rows = {
        family: {
            "share": seconds[family] / whole,
            "calls": calls[family] / steps,
            "milliseconds": 1e3 * seconds[family] / steps,
        }
        for family in ordered
    }
    return {"families": rows, "rounds": rounds}


def family_of(operator: str) -> str:
    """The family of an operator by its name, for example "aten::mkldnn_convolution"."""
    name = operator.removeprefix("aten::")
    return next((family for family, words in FAMILIES.items() if any(word in name for word in words)), REST)


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The result as lines of a Markdown table."""
    yield "| operators | share of the time | calls a student step | ms a student step |"
    yield "|---|---|---|---|"
    for family, row in result["families"].items():
        yield f"| {family} | {100 * row['share']:.0f} % | {row['calls']:.0f} | {row['milliseconds']:.1f} |"


if __name__ == "__main__":
    raise SystemExit(main())
