"""How long an epoch of the quick run takes by how threads wait, alone and beside a second such run; its bits, too.

    python benchmarks/waiting.py [--trials 3]

| threads wait | environment |
|---|---|
| active | OMP_WAIT_POLICY=active: they spin |
| passive | OMP_WAIT_POLICY=passive: they sleep at once |
| short | the setting of the library, see cudfkd.base.waiting: they spin for a moment, then sleep |

A trial times one epoch in each of six cases in turn, to and fro: alone and beside a second run, which waits alike. Each
run is started as a user would start it. Seconds are of training alone, as metrics.jsonl has them. Prints the ratios,
files them in benchmarks/results/waiting.json under the hardware, and exits with 1 if a student's bits differ.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, parts
from benchmarks.loops import quotients
from benchmarks.parts import Part, Record, Result
from benchmarks.throughput import count
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.machine import hardware
from cudfkd.base.waiting import DECISIVE
from cudfkd.runs.records import read_rows

WAITS = {"active": {"OMP_WAIT_POLICY": "active"}, "passive": {"OMP_WAIT_POLICY": "passive"}, "short": {}}
CASES = tuple((place, wait) for place in ("alone", "beside") for wait in WAITS)
ENDLESS = 1000  # epochs of the second run, which is ended before
Seconds = Mapping[str, Mapping[str, Sequence[float]]]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=count, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "waiting.json", help="the JSON file")

    def program() -> int:
        options = parser.parse_args(arguments)
        record = Record(options.out, hardware("cpu"))
        outcome = parts.measure({"epoch": Part(epoch)}, options.trials, record.keep)
        if outcome.failed:
            return 1
        say("\n".join(lines(record.results["epoch"])))
        return 0 if record.results["epoch"]["students"] == 1 else 1

    return command.run("waiting.py", program)


def epoch(trials: int, minutes: float) -> Result:  # noqa: ARG001
    """Seconds of an epoch by case, a list over the trials, and their ratios.

    | key | value |
    |---|---|
    | seconds | by place (alone, beside) and wait: seconds of each trial |
    | over_short | by place and wait but short: see `quotients` |
    | beside_over_alone | by wait |
    | students | number of different students, by the hash of their weights |
    | load_before | processes that ran in the minute before, by the system's count; None where it counts none |
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seconds: dict[str, dict[str, list[float]]] = {"alone": {}, "beside": {}}
    students = set()
    for trial in range(trials):
        for place, wait in CASES if trial % 2 == 0 else reversed(CASES):
            took, student = timed(place, wait)
            seconds[place].setdefault(wait, []).append(took)
            students.add(student)
            say(f"{place}, {wait}: {took:.1f} s")
    return {"seconds": seconds, **ratios(seconds), "students": len(students), "load_before": load}


def ratios(seconds: Seconds) -> dict[str, Any]:
    """The ratios of `epoch`, each of one trial's seconds."""
    alone, beside = seconds["alone"], seconds["beside"]
    return {
        "over_short": {
            place: {wait: quotients(at[wait], at["short"]) for wait in WAITS if wait != "short"}
            for place, at in seconds.items()
        },
        "beside_over_alone": {wait: quotients(beside[wait], alone[wait]) for wait in WAITS},
    }


def timed(place: str, wait: str) -> tuple[float, str]:
    """Seconds of the epoch of a run, and the hash of its student."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "timed"
        with neighbour(Path(folder) / "neighbour", wait) if place == "beside" else nullcontext():
            subprocess.run(words(run, 1), check=True, stdout=subprocess.DEVNULL, env=environment(wait))
        (row,) = read_rows(run, 1)
        return float(row["seconds"] or 0.0), sha256((run / "student.safetensors").read_bytes()).hexdigest()


@contextmanager
def neighbour(folder: Path, wait: str) -> Iterator[None]:
    """Trains a second run, which has begun its first epoch when the block begins, and is ended with the block.

    Raises:
        RuntimeError: the second run ended by itself.
    """
    process = subprocess.Popen(words(folder, ENDLESS), stdout=subprocess.DEVNULL, env=environment(wait))
    try:
        while not (folder / "checkpoint.json").exists() and process.poll() is None:
            time.sleep(0.05)
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the second run ended with exit code {process.returncode}: nothing was measured")
    finally:
        process.kill()
        process.wait()


def words(folder: Path, epochs: int) -> list[str]:
    """The command line of the quick run, with another number of epochs."""
    return [sys.executable, *f"-m cudfkd.cli distill --epochs {epochs} --out {folder}".split()]


def environment(wait: str) -> dict[str, str]:
    """The environment of a run, in which nothing else says how threads wait."""
    return {name: value for name, value in os.environ.items() if name not in DECISIVE} | WAITS[wait]


def lines(result: dict[str, Any]) -> list[str]:
    """The ratios and the comparison of bits, a line each."""
    named = {f"{place}, {wait} over short": r for place, by in result["over_short"].items() for wait, r in by.items()}
    named |= {f"{wait}, beside over alone": ratio for wait, ratio in result["beside_over_alone"].items()}
    text = [
        f"{name}: {one['median']:.2f} times the seconds ({one['lowest']:.2f} to {one['highest']:.2f}, n = {one['n']})"
        for name, one in named.items()
    ]
    return [*text, "the same student to the bit" if result["students"] == 1 else "the students' bits differ"]


if __name__ == "__main__":
    sys.exit(main())
