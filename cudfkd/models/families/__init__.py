"""Classifiers, one family of networks per file."""
