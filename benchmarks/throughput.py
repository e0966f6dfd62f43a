"""The engine against a plain loop: student steps a second, by batch size and ranks too; operations, memory, shares.

    python benchmarks/throughput.py                                      all of it
    python benchmarks/throughput.py --device cuda --precision bfloat16   on a GPU; the plain loop stays in float32
    python benchmarks/throughput.py --parts speed --pairs wrn-16-1       some of it, minutes each

Writes throughput.json, and throughput.png of all that it holds. What is there of other parts, pairs, hardware and
precisions is kept, and each part is written once it is measured. Loops run in turn, each time in a process of its own,
and nothing else should run beside them.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from analysis import plots
from benchmarks import loops
from benchmarks.achieved import achieved
from benchmarks.ceiling import bandwidths, ceilings
from benchmarks.loops import LOOPS, PAIRS, SMALL, Setting
from benchmarks.scaling import counts, scaling
from cudfkd.base.errors import CudfkdError
from cudfkd.base.files import read_json, write_json
from cudfkd.base.machine import hardware

BATCH_SIZES = (16, 32, 64, 128)
FEWER = {"repeats": 3, "epochs": 2}  # where the batch size varies


def main() -> int:
    asked = parse()
    try:
        measured = read_json(asked.out) if asked.out.exists() else {}
        how = asked.device, asked.precision, asked.batch_size, asked.compile
        settings = [Setting(pair, *how) for pair in asked.pairs]
        here = where(settings[0])
        for part in (name for name in PARTS if name in asked.parts):
            for setting in settings:
                put(measured, setting, part, PARTS[part](setting, asked))
                write_json(asked.out, measured)
                print(f"{part} of {setting.pair} measured", flush=True)
        plots.throughput(measured).savefig(asked.out.with_suffix(".png"), metadata={"Software": None})
    except CudfkdError as error:
        print(f"throughput.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(measured[here])))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the engine")
    parser.add_argument("--compile", choices=("off", "default", "reduce-overhead"), default="off", help="of the engine")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(SMALL))
    parser.add_argument("--batch-size", type=count, default=64, help="of all parts but batches")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=count, default=5, help="times that each loop is timed")
    parser.add_argument("--seconds", type=float, default=1.0, help="about so long an epoch, of which three are timed")
    parser.add_argument("--batch-sizes", type=count, nargs="+", default=list(BATCH_SIZES))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the JSON file")
    return parser.parse_args()


def count(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: it must be a whole number, 1 or more")
    return int(text)


def memory(setting: Setting, _: argparse.Namespace) -> dict[str, Any]:
    return {"mb": {name: loops.memory(setting, name) for name in LOOPS}}


def ceiling(setting: Setting, _: argparse.Namespace) -> dict[str, Any]:
    device, precisions = torch.device(setting.device), dict.fromkeys(("float32", setting.precision))
    return {
        "gflops": {name: ceilings(device, getattr(torch, name)) for name in precisions},
        "gb_per_second": bandwidths(device),
    }


def flops(setting: Setting, _: argparse.Namespace) -> dict[str, Any]:
    return {"per_step": {name: loops.flops(setting, name) for name in LOOPS}}


def traffic(setting: Setting, _: argparse.Namespace) -> dict[str, Any]:
    return {"per_step": {name: loops.moved(setting, name) for name in LOOPS}}


def speed(setting: Setting, asked: argparse.Namespace) -> dict[str, Any]:
    rounds = loops.rounds_of(setting, asked.seconds)
    rates = loops.in_turn(setting, list(LOOPS), rounds, asked.repeats)
    over = {name: loops.ratios(rates, name) for name in LOOPS if name != "engine"}
    return {"batch_size": setting.batch_size, "rounds": rounds, "steps_per_second": rates, "engine_over": over}


def batches(setting: Setting, asked: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for size in asked.batch_sizes:
        one = replace(setting, batch_size=size)
        rates = loops.in_turn(one, ["engine", "reference"], loops.rounds_of(one, asked.seconds), **FEWER)
        found[str(size)] = {"steps_per_second": rates, "engine_over": {"reference": loops.ratios(rates, "reference")}}
    return {"by_size": found}


def ranks(setting: Setting, asked: argparse.Namespace) -> dict[str, Any]:
    rounds = loops.rounds_of(setting, asked.seconds)
    many = [scaling(setting, rounds, counts(setting.device)) for _ in range(asked.repeats)]
    return {"steps_per_second": {size: [one[size] for one in many] for size in many[0]}}


PARTS: dict[str, Callable[[Setting, argparse.Namespace], dict[str, Any]]] = {
    "memory": memory,
    "ceiling": ceiling,
    "flops": flops,
    "traffic": traffic,
    "speed": speed,
    "batches": batches,
    "ranks": ranks,
}


def where(setting: Setting) -> str:
    """Hardware, precision, compiler: what a measurement is filed under. Raises ConfigError without such a device."""
    setting.config(1)
    how = setting.precision if setting.compile == "off" else f"{setting.precision}, compile {setting.compile}"
    return f"{hardware(setting.device)}, {how}"


def put(measured: dict, setting: Setting, part: str, found: dict[str, Any]) -> None:
    """Files what was found of a part, with what it was found with, and what follows from it and the parts before."""
    here = measured.setdefault(where(setting), {}).setdefault(setting.pair, {})
    here[part] = {**found, **loops.stamp()}
    if {"ceiling", "flops", "traffic", "speed"} <= here.keys():
        here["achieved"] = achieved(here, setting.precision)


def lines(measured: dict) -> list[str]:
    """What was found for one place, a line a ratio."""
    told = []
    for pair, here in measured.items():
        for name, ratio in here.get("speed", {}).get("engine_over", {}).items():
            spread = f"{ratio['lowest']:.2f} to {ratio['highest']:.2f}, n = {ratio['n']}"
            told.append(f"{pair}: the engine is {ratio['median']:.2f} times as fast as the loop {name!r} ({spread})")
    return told


if __name__ == "__main__":
    sys.exit(main())
