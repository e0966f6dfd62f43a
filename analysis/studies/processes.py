"""Processes that make runs side by side, each with its share of the cores."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context

import torch


@contextmanager
def pool(processes: int, *, tasks: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Gives a pool of fresh processes. An exception in the block ends them, and waits for none of their runs.

    Arguments:
        processes: number of processes.
        tasks: number of runs after which a process gives way to a new process; None: no limit.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    with ProcessPoolExecutor(
        processes, get_context("spawn"), _prepare, (threads,), max_tasks_per_child=tasks
    ) as executor:
        try:
            yield executor
        except BaseException:  # Ctrl-C, or a run that failed: the other runs must not be waited for
            executor.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise


def _prepare(threads: int) -> None:
    """Prepares a process for a run. Ctrl-C is left to the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
