"""The error line when memory runs out. It names a batch size that fits, which trial runs find."""

from collections.abc import Callable

import torch

# parts of the error messages of allocators, drivers and libraries, in lower case
WORDS = ("out of memory", "to allocate ", "not allocate ", "n't allocate ", "alloc_failed", "allocation_failed")

Attempt = Callable[[int], object]  # tries a batch size; passes on the error that torch raises if it does not fit


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that torch, a GPU library or Python could not get memory, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)
    )


def what_fits(device: str, batch_size: int, attempt: Attempt | None) -> str:
    """Returns the error line for a run that did not fit into memory.

    Arguments:
        device: name of the run's device.
        batch_size: batch size of the run.
        attempt: tries a batch size, so that the line can name a batch size that fits. None (with several ranks): the
            line names no batch size.
    """
    line = f"out of memory on {device}"
    if attempt is None:
        remedy = "which the processes share" if device == "cpu" else "or start more processes"  # each with a GPU
        return f"{line}: lower batch_size = {batch_size}, {remedy}"
    fits = batch_that_fits(batch_size, attempt)
    if fits is None:
        return f"{line}, whatever the batch size: lower generator_width, latent_dim or memory_size"
    return f"{line}: batch_size = {batch_size} does not fit, {fits} does"


def batch_that_fits(tried: int, attempt: Attempt) -> int | None:
    """Returns the largest of tried/2, tried/4, ... (at least 2) for which `attempt` has enough memory, or None."""
    size = tried // 2
    while size >= 2:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(size)
            return size
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    return None
