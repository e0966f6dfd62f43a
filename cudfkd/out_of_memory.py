"""What to say when memory runs out: the batch that would have fitted, found by trying."""

from collections.abc import Callable

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python could not get memory, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def batch_that_fits(tried: int, attempt: Callable[[int], object]) -> int | None:
    """The largest of tried/2, tried/4, ... (2 at least) with which `attempt` does not run out, or None."""
    size = tried // 2
    while size >= 2:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(size)
            return size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    return None
