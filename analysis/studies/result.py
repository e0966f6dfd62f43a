"""`python -m analysis.studies.result RUN FILE`: a finished run's folder as one small record, as `comparison` has them.

It stands at the end of every run of a grid. The hardware is the one that finished the run, as its folder says.
"""

import json
import sys
from pathlib import Path
from typing import Any

from analysis.studies.comparison import fingerprint, rounded
from cudfkd.runs.folder import scores


def record(run: Path) -> dict[str, Any]:
    """What `analysis.studies.comparison.Recorded` holds, without images."""
    experiment, summary = (json.loads((run / f"{name}.json").read_text()) for name in ("experiment", "summary"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    distill = experiment["distill"]
    return {
        "method": distill["method"],
        "seed": distill["seed"],
        "experiment": experiment,
        "config_sha256": fingerprint(experiment),
        "rows": [rounded(row) for row in rows],
        "summary": scores(summary),
        "seconds": round(summary["total_seconds"], 1),
        "peak_memory_mb": round(rows[-1]["peak_memory_mb"] or 0.0, 0),
        "hardware": summary["made"]["hardware"],
        "torch": summary["made"]["torch"],
        "samples": None,
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(record(Path(sys.argv[1])), indent=1) + "\n")
