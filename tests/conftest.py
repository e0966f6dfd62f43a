"""Every test starts from the same seed and computes on one thread, so that results do not depend on the machine."""

import os

import pytest
import torch

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the kernels and commands that tests start


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


LONGEST = ("test_main.py", "test_snakefile.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: at the end no process waits for another process with one of them."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
