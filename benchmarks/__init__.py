"""Measurements. Each module with a `main` is a command, see its docstring; results lie in benchmarks/results/."""

from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
