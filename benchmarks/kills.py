"""Kills runs at random moments and resumes them: each must end with the same bits as a run that was left alone.

    python benchmarks/kills.py [--kills 50]

For each granularity of the curriculum one run is left alone. All further runs are started as a user would start them,
killed with SIGKILL at a random moment of a random epoch (or while they start), resumed, sometimes killed again, and
compared file by file: student, generator, weights of a kept epoch, and every metric but seconds and memory. Prints one
line a run, writes benchmarks/results/kills.json and exits with 1 if any differs.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import RESULTS
from cudfkd.base import command
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.files import write_json

GRANULARITIES = ("sample", "batch", "none")
EPOCHS = 8
LENGTH = f"--epochs {EPOCHS} --steps-per-epoch 20 --keep-epochs 3"
COMPARED = ("student.safetensors", "generator.safetensors", "student-epoch0003.safetensors")
TIMED = ("seconds", "total_seconds", "peak_memory_mb")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")

    def program() -> int:
        options = parser.parse_args(arguments)
        return kill(options.kills, random.Random(options.seed))

    return command.run("kills.py", program)


def kill(most: int, moments: random.Random) -> int:
    """Kills runs until there were `most` kills, and writes the comparison; 1 if a run differs."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = {name: Path(folder) / f"undisturbed-{name}" for name in GRANULARITIES}
        seconds = {name: _timed(words(name, path)) for name, path in undisturbed.items()}
        while (left := most - sum(row["kills"] for row in rows)) > 0:
            name = GRANULARITIES[len(rows) % 3]
            path = Path(folder) / f"killed-{len(rows)}"
            kills, epochs = harass(name, path, seconds[name], moments, left)
            differs = differing(path, undisturbed[name])
            rows.append({"granularity": name, "kills": kills, "epochs_at_kill": epochs, "differs": differs})
            say(str(rows[-1]))
    same = sum(not row["differs"] for row in rows)
    kills = sum(row["kills"] for row in rows)
    say(f"{kills} kills in {len(rows)} runs: {same} of {len(rows)} runs the same to the bit")
    write_json(
        RESULTS / "kills.json",
        {"kills": kills, "runs": len(rows), "same": same, "length": LENGTH, "torch": torch.__version__, "rows": rows},
    )
    return 0 if same == len(rows) else 1


def words(granularity: str, path: Path) -> list[str]:
    """The command line of a run, as a user types it. It starts the run, and it resumes it."""
    options = f"-m cudfkd.cli distill {LENGTH} --granularity {granularity} --resume --out {path}"
    return [sys.executable, *options.split()]


def harass(granularity: str, path: Path, seconds: float, moments: random.Random, most: int) -> tuple[int, list[int]]:
    """Runs to the end with one to three kills on the way, `most` at most.

    Returns the number of kills, and the epochs complete at each.
    """
    kills, epochs = 0, []
    for _ in range(min(most, moments.randint(1, 3))):
        process = subprocess.Popen(words(granularity, path), stdout=subprocess.DEVNULL)
        wait(process, path, seconds, moments)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        epochs.append(rows_of(path))
    subprocess.run(words(granularity, path), check=True, stdout=subprocess.DEVNULL)
    return kills, epochs


def wait(process: subprocess.Popen, path: Path, seconds: float, moments: random.Random) -> None:
    """Waits until a random moment of a random epoch to come. If that is the very next, its start counts as well."""
    begun = rows_of(path)
    epoch = moments.randrange(min(begun, EPOCHS - 1), EPOCHS)  # after the last epoch, a run only has to end
    while rows_of(path) < epoch and process.poll() is None:
        time.sleep(0.01)
    time.sleep(moments.random() * (seconds / 2 if epoch <= begun else seconds / (2 * EPOCHS)))


def rows_of(path: Path) -> int:
    """Epochs that have left a row of metrics so far."""
    file = path / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def differing(path: Path, undisturbed: Path) -> list[str]:
    """Names of the files that differ between two run folders. Timings do not count; no file should differ."""
    names = [name for name in COMPARED if (path / name).read_bytes() != (undisturbed / name).read_bytes()]
    return names + (["metrics.jsonl"] if metrics(path) != metrics(undisturbed) else [])


def metrics(folder: Path) -> list[dict]:
    """Rows of metrics.jsonl without the values that depend on the machine's speed."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def _timed(line: list[str]) -> float:
    """Seconds of a command."""
    started = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
