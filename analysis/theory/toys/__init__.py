"""Toy problems and their solvers."""
