"""The watch on reads sees every read and nothing else."""

import pytest
import torch

from tests.reads import Reads

READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "if": lambda x: bool((x > 0).any()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "mask": lambda x: x[x > 0],
    "mask to set": lambda x: x.__setitem__(x > 0, 0.0),
    "masked_select": lambda x: x.masked_select(x > 0),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x + 1),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.tensor([1, 2, 0])),
}
OTHERS = {
    "index": lambda x: x[torch.tensor([0, 2])],
    "slice": lambda x: x[1:],
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "sort": lambda x: x.sort().values,
    "masked_fill": lambda x: x.masked_fill(x > 0, 0.0),
}


@pytest.mark.parametrize("name", [*READS, *OTHERS])
def test_a_read_is_seen_and_nothing_else(name):
    reads, x = Reads().start(), torch.tensor([1.0, -1.0, 2.0])
    (READS | OTHERS)[name](x)
    reads.stop()
    assert bool(reads.stacks) == (name in READS)
    x.tolist()
    assert len(reads.stacks) <= 1
