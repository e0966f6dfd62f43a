"""The quick run over seeds: accuracy on dev and seconds of training, and once, for the README, on test.

    python benchmarks/quick.py --seeds 0 1 2 [--test]

Runs what notebook 00 runs (profiles/quick/00.yaml), one seed after the other, with nothing beside it, and writes
benchmarks/quick.json: per seed the accuracies with intervals, agreement, loyalty, seconds, steps and peak memory.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

import cudfkd
from analysis.evidence.execute import profile_parameters
from cudfkd.base.files import write_json
from cudfkd.base.machine import hardware
from cudfkd.engine.experiments import run
from cudfkd.engine.progress import Progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", action="store_true", help="read the test images too")
    asked = parser.parse_args()
    rows = [measure(seed, test=asked.test) for seed in asked.seeds]
    accuracies = [row["dev"]["accuracy"]["value"] for row in rows]
    summary = {
        "n": len(rows),
        "dev_mean": statistics.mean(accuracies),
        "dev_sd": statistics.stdev(accuracies) if len(rows) > 1 else None,
        "dev_lowest": min(accuracies),
        "seconds_highest": max(row["seconds"] for row in rows),
    }
    write_json(
        Path(__file__).with_suffix(".json"),
        {"summary": summary, "runs": rows, "profile": "quick", "hardware": hardware("cpu"), "torch": torch.__version__},
    )
    print(summary)


def measure(seed: int, *, test: bool) -> dict:
    """One run and its scores."""
    length = {name: profile_parameters("quick", "00")[name] for name in ("epochs", "steps_per_epoch")}
    experiment = cudfkd.Experiment(distill=cudfkd.DistillConfig(**length, seed=seed, keep_epochs=(1,)))
    with tempfile.TemporaryDirectory() as folder:
        done = run(experiment, Path(folder) / "run", callbacks=[Progress()])
    row = {
        "seed": seed,
        "seconds": done.summary["total_seconds"],
        "student_steps": done.summary["student_steps"],
        "generator_steps": done.summary["generator_steps"],
        "peak_memory_mb": done.rows[-1]["peak_memory_mb"],
        "accuracy_by_seconds": [[r["total_seconds"], r["accuracy"]] for r in done.rows],
    }
    teacher = cudfkd.load_teacher(experiment.data, experiment.teacher, experiment.teacher_seed)
    for split in ("dev", "test") if test else ("dev",):
        held_out = cudfkd.data.load(experiment.data, split)
        scores = cudfkd.evaluate(done.student, teacher, held_out, done.config.mean, done.config.std)
        row[split] = {name: estimate._asdict() for name, estimate in scores._asdict().items()}
    return row


if __name__ == "__main__":
    main()
