"""`python -m analysis.result RUN FILE`: a finished run's folder as one small record, as `analysis.comparison` has them.

It stands at the end of every run of a grid, on the machine of the run, whose hardware it names; of a run that moved,
the last.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from analysis.comparison import fingerprint, rounded


def record(run: Path) -> dict[str, Any]:
    """What `analysis.comparison.Recorded` holds, without images."""
    experiment, summary, config = (
        json.loads((run / f"{name}.json").read_text()) for name in ("experiment", "summary", "config")
    )
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    distill = experiment["distill"]
    return {
        "method": distill["method"],
        "seed": distill["seed"],
        "experiment": experiment,
        "config_sha256": fingerprint(experiment),
        "rows": [rounded(row) for row in rows],
        "summary": {name: value for name, value in summary.items() if name != "sha256"},
        "seconds": round(summary["total_seconds"], 1),
        "peak_memory_mb": round(rows[-1]["peak_memory_mb"] or 0.0, 0),
        "hardware": hardware(distill["device"]),
        "torch": config["versions"]["torch"],
        "samples": None,
    }


def hardware(device: str) -> str:
    """The GPU's name where nvidia-smi tells it; else processor, cores and the threads that a run may use."""
    if device.startswith("cuda"):
        try:
            asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "a GPU without a name"
    cores = os.cpu_count()
    return f"{platform.machine()}, {cores} cores, {os.environ.get('OMP_NUM_THREADS', cores)} threads"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(record(Path(sys.argv[1])), indent=1) + "\n")
