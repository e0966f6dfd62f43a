"""Processes for tests of several processes, which need not import torch again."""

import multiprocessing
from functools import cache


@cache
def processes():
    """A context for processes that start with torch imported and share no state with this process."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "cudfkd", "pytest"])
    return context
