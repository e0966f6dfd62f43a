"""Every test starts from the same seed and computes on one thread, so that results do not depend on the machine."""

import os

import pytest
import torch

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the kernels and commands that tests start


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
