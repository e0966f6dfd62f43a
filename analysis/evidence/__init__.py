"""Notebooks run, their results kept and judged."""
