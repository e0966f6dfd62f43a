"""Toy problems and what solves them."""
