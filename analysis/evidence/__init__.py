"""Runs the notebooks, keeps their results and judges them."""
