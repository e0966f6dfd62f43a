"""What to say when memory runs out: the batch that would have fitted, found by trying."""

from collections.abc import Callable

import torch

# parts of what allocators, drivers and libraries say; in lower case
WORDS = ("out of memory", "to allocate ", "not allocate ", "n't allocate ", "alloc_failed", "allocation_failed")

Attempt = Callable[[int], object]  # with a batch size; it raises what torch raises where that does not fit


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, a library of GPUs or Python could not get memory, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)
    )


def what_fits(device: str, batch_size: int, attempt: Attempt | None) -> str:
    """The line for a run that did not fit. Without an attempt (on several ranks) it names no batch that does."""
    line = f"out of memory on {device}"
    if attempt is None:
        helps = "which the processes share" if device == "cpu" else "or start more processes"  # each with a GPU
        return f"{line}: lower batch_size = {batch_size}, {helps}"
    fits = batch_that_fits(batch_size, attempt)
    if fits is None:
        return f"{line}, whatever the batch size: lower generator_width, latent_dim or memory_size"
    return f"{line}: batch_size = {batch_size} does not fit, {fits} does"


def batch_that_fits(tried: int, attempt: Attempt) -> int | None:
    """The largest of tried/2, tried/4, ... (2 at least) with which `attempt` does not run out, or None."""
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
