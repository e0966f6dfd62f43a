"""The fingerprint of a network: equal for equal weights, in every process and for every kind of value."""

import io
import os
import subprocess
import sys
from argparse import Namespace
from collections import OrderedDict
from enum import Enum
from hashlib import sha256

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic

from cudfkd import models
from cudfkd.runs.fingerprint import fingerprint
from tests.cudfkd.boundary.test_weights import WRAPPERS, Extra, plain

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Colour(Enum):
    RED = 1
    BLUE = 2


class Thing:
    def __init__(self, value: object) -> None:
        self.value = value


def of_plain_tensors(network: nn.Module) -> str:
    """The hash as it was when state dicts held dense tensors alone."""
    digest = sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["lenet5", "wrn-16-1", "vgg11-bn"])
def test_dense_tensors_have_the_hash_that_they_had(name):
    network = models.build(name, image_size=32)
    assert fingerprint(network) == of_plain_tensors(network)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_do_not_matter(wrapper):
    network = plain()
    before = fingerprint(network)
    assert fingerprint(WRAPPERS[wrapper](network)) == before


def quantized(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return quantize_dynamic(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2), nn.GRU(2, 2)))


def by_tensor(value: float, scale: float = 0.1) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.tensor([value, 0.0]), scale, 0, torch.qint8)


def by_channel(scale: float) -> torch.Tensor:
    return torch.quantize_per_channel(torch.eye(2), torch.tensor([0.1, scale]), torch.tensor([0, 0]), 0, torch.qint8)


def inside_itself() -> list:
    value: list = [1]
    value.append(value)
    return value


def tensor_of(value: torch.Tensor) -> nn.Module:
    network = nn.Module()
    network.register_buffer("odd", value)
    return network


def state_of(value: object) -> nn.Module:
    torch.manual_seed(0)
    return Extra(value)


# Functions that make two networks: all values of the two networks are equal but one
PAIRS = {
    "quantized layers": (lambda: quantized(0), lambda: quantized(1)),
    "quantized": (lambda: tensor_of(by_tensor(0.5)), lambda: tensor_of(by_tensor(0.3))),
    "scale": (lambda: tensor_of(by_tensor(0.0, 0.1)), lambda: tensor_of(by_tensor(0.0, 0.2))),
    "scale of a channel": (lambda: tensor_of(by_channel(0.1)), lambda: tensor_of(by_channel(0.2))),
    "sparse": (lambda: tensor_of(torch.eye(2).to_sparse()), lambda: tensor_of(2 * torch.eye(2).to_sparse())),
    "sparse shape": (
        lambda: tensor_of(torch.sparse_coo_tensor([[0]], [1.0], (2,))),
        lambda: tensor_of(torch.sparse_coo_tensor([[0]], [1.0], (3,))),
    ),
    "rows": (lambda: tensor_of(torch.eye(2).to_sparse_csr()), lambda: tensor_of(torch.eye(2).flip(0).to_sparse_csr())),
    "columns": (lambda: tensor_of(torch.eye(2).to_sparse_csc()), lambda: tensor_of(torch.ones(2, 2).to_sparse_csc())),
    "no values": (
        lambda: tensor_of(torch.zeros(2, device="meta")), lambda: tensor_of(torch.zeros(3, device="meta")),
    ),
    "none": (lambda: state_of(None), lambda: state_of("None")),
    "number": (lambda: state_of(1), lambda: state_of(1.0)),
    "truth": (lambda: state_of(True), lambda: state_of(1)),
    "dtype": (lambda: state_of(torch.float32), lambda: state_of(torch.qint8)),
    "dict": (lambda: state_of({"a": 1, "b": 2}), lambda: state_of({"a": 2, "b": 1})),
    "ordered": (lambda: state_of(OrderedDict(a=1)), lambda: state_of(OrderedDict(a=2))),
    "nested": (lambda: state_of([[1], [2]]), lambda: state_of([[1, 2], []])),
    "texts": (lambda: state_of(["ab", "c"]), lambda: state_of(["a", "bc"])),
    "bytes": (lambda: state_of(b"a"), lambda: state_of(bytearray(b"b"))),
    "set": (lambda: state_of({"a", "b", "c", "d"}), lambda: state_of({"a", "b", "c", "e"})),
    "tensor": (lambda: state_of([torch.zeros(2)]), lambda: state_of([torch.ones(2)])),
    "array": (lambda: state_of(np.arange(3)), lambda: state_of(np.arange(3) + 1)),
    "scalar": (lambda: state_of(np.float32(1)), lambda: state_of(np.float32(2))),
    "stream": (lambda: state_of(io.BytesIO(b"a")), lambda: state_of(io.BytesIO(b"b"))),
    "enum": (lambda: state_of(Colour.RED), lambda: state_of(Colour.BLUE)),
    "object": (lambda: state_of(Thing({"a": Thing(1)})), lambda: state_of(Thing({"a": Thing(2)}))),
    "namespace": (lambda: state_of(Namespace(a=1)), lambda: state_of(Namespace(a=2))),
    "class": (lambda: state_of(Thing), lambda: state_of(Colour)),
    "function": (lambda: state_of(by_tensor), lambda: state_of(by_channel)),
    "device": (lambda: state_of(torch.device("cpu")), lambda: state_of(torch.device("meta"))),
    "module": (lambda: state_of(nn.ReLU()), lambda: state_of(nn.GELU())),
    "inside itself": (lambda: state_of(inside_itself()), lambda: state_of([1, [1]])),
    "beyond pickle": (lambda: state_of(value for value in ()), lambda: state_of(memoryview(b"a"))),
}  # fmt: skip


def all_prints() -> list[str]:
    return [fingerprint(make()) for pair in PAIRS.values() for make in pair]


@pytest.mark.parametrize("name", PAIRS)
def test_equal_values_have_equal_fingerprints_and_others_have_not(name):
    one, other = PAIRS[name]
    assert fingerprint(one()) == fingerprint(one())
    assert fingerprint(other()) == fingerprint(other())
    assert fingerprint(one()) != fingerprint(other())


def test_fingerprints_are_equal_in_two_processes():
    code = "from tests.cudfkd.runs import test_fingerprint as t; print(*t.all_prints())"
    for seed in ("1", "2"):  # of the order of sets
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=300
        )
        assert done.stdout.split() == all_prints()
