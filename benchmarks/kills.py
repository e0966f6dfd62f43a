"""Kills runs at random moments and resumes them: each must end with the same bits as a run that was left alone.

    python benchmarks/kills.py [--kills 50]

For each granularity of the curriculum one run is left alone. The others are started as a user would start them, killed
with SIGKILL at a random moment of a random epoch (or while they start), resumed, sometimes killed again, and compared
file by file: student, generator, weights of a kept epoch, and every metric but seconds and memory. Prints one line a
run, writes benchmarks/kills.json and exits with 1 if any differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from cudfkd.base.files import write_json

GRANULARITIES = ("sample", "batch", "none")
EPOCHS = 8
LENGTH = f"--epochs {EPOCHS} --steps-per-epoch 20 --keep-epochs 3"
COMPARED = ("student.safetensors", "generator.safetensors", "student-epoch0003.safetensors")
TIMED = ("seconds", "total_seconds", "peak_memory_mb")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    moments, rows = random.Random(asked.seed), []
    with tempfile.TemporaryDirectory() as folder:
        whole = {name: Path(folder) / f"whole-{name}" for name in GRANULARITIES}
        seconds = {name: _timed(command(name, path)) for name, path in whole.items()}
        while sum(row["kills"] for row in rows) < asked.kills:
            name = GRANULARITIES[len(rows) % 3]
            path = Path(folder) / f"killed-{len(rows)}"
            kills, epochs = harass(name, path, seconds[name], moments, asked.kills - sum(row["kills"] for row in rows))
            rows.append(
                {"granularity": name, "kills": kills, "epochs_at_kill": epochs, "differs": differing(path, whole[name])}
            )
            print(rows[-1], flush=True)
    same = sum(not row["differs"] for row in rows)
    kills = sum(row["kills"] for row in rows)
    print(f"{kills} kills in {len(rows)} runs: {same} of {len(rows)} runs the same to the bit")
    write_json(
        Path(__file__).with_suffix(".json"),
        {"kills": kills, "runs": len(rows), "same": same, "length": LENGTH, "torch": torch.__version__, "rows": rows},
    )
    return 0 if same == len(rows) else 1


def command(granularity: str, path: Path) -> list[str]:
    """What a user types; the same words start a run and go on with it."""
    words = f"-m cudfkd.cli distill {LENGTH} --granularity {granularity} --resume --out {path}"
    return [sys.executable, *words.split()]


def harass(granularity: str, path: Path, seconds: float, moments: random.Random, most: int) -> tuple[int, list[int]]:
    """Runs to the end with one to three kills on the way; returns how many, and the epochs complete at each."""
    kills, epochs = 0, []
    for _ in range(min(most, moments.randint(1, 3))):
        process = subprocess.Popen(command(granularity, path), stdout=subprocess.DEVNULL)
        wait(process, path, seconds, moments)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        epochs.append(rows_of(path))
    subprocess.run(command(granularity, path), check=True, stdout=subprocess.DEVNULL)
    return kills, epochs


def wait(process: subprocess.Popen, path: Path, seconds: float, moments: random.Random) -> None:
    """Until a random moment of a random one of the epochs to come; of the start, when it is the very next."""
    begun = rows_of(path)
    epoch = moments.randrange(min(begun, EPOCHS - 1), EPOCHS)  # after the last one, a run only has to end
    while rows_of(path) < epoch and process.poll() is None:
        time.sleep(0.01)
    time.sleep(moments.random() * (seconds / 2 if epoch <= begun else seconds / (2 * EPOCHS)))


def rows_of(path: Path) -> int:
    """Epochs that have left a row of metrics so far."""
    file = path / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def differing(path: Path, whole: Path) -> list[str]:
    """The files of two run folders that differ; timings aside, none should."""
    found = [name for name in COMPARED if (path / name).read_bytes() != (whole / name).read_bytes()]
    rows, expected = (metrics(folder) for folder in (path, whole))
    return found + (["metrics.jsonl"] if rows != expected else [])


def metrics(folder: Path) -> list[dict]:
    """Rows of metrics.jsonl without what depends on the machine's speed."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def _timed(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
