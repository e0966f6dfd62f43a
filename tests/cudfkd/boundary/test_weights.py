"""Weights from outside: wrappers do not matter to their names, and a file that holds no plain weights is one line."""

import io
import pickle
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from cudfkd import ConfigError, CudfkdError, DataError
from cudfkd.boundary.weights import load_plain, matched, plain_state, read_weights, refuse_unsaveable


class Inner(nn.Module):
    """A network with a part that is called `module`, and a weight of the same name beside and inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 2)
        self.weight = nn.Parameter(torch.randn(2, 2))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 2)))


def compiled(network: nn.Module) -> nn.Module:
    return torch.compile(network, backend="eager")


def with_compiled_part(network: nn.Module) -> nn.Module:
    name, part = list(network.named_children())[-1]
    setattr(network, name, compiled(part))
    return network


def with_parallel_part(network: nn.Module) -> nn.Module:
    name, part = list(network.named_children())[-1]
    setattr(network, name, nn.DataParallel(part))
    return network


WRAPPERS = {
    "plain": lambda network: network,
    "compiled": compiled,
    "parallel": nn.DataParallel,
    "compiled part": with_compiled_part,
    "parallel part": with_parallel_part,
    "compiled parallel": lambda network: compiled(nn.DataParallel(network)),
    "parallel compiled": lambda network: nn.DataParallel(compiled(with_compiled_part(network))),
    "twice": lambda network: nn.DataParallel(nn.DataParallel(network)),
}
NETWORKS = {"plain": plain, "inner": Inner, "tied": Tied}


def values(network: nn.Module) -> list[torch.Tensor]:
    return list(network.state_dict().values())


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, values(one), values(other)))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_plain_names_are_those_without_a_wrapper(network, wrapper):
    make = NETWORKS[network]
    assert list(plain_state(WRAPPERS[wrapper](make()))) == list(make().state_dict())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("reader", WRAPPERS)
@pytest.mark.parametrize("writer", WRAPPERS)
def test_weights_go_from_any_wrapper_to_any_other(network, writer, reader):
    written, read = WRAPPERS[writer](NETWORKS[network]()), WRAPPERS[reader](NETWORKS[network]())
    assert not equal(written, read)
    load_plain(read, plain_state(written))
    assert equal(written, read)


@pytest.mark.parametrize("network", ["plain", "tied"])
@pytest.mark.parametrize("reader", WRAPPERS)
@pytest.mark.parametrize("writer", WRAPPERS)
def test_names_with_wrappers_are_read_too(network, writer, reader):
    written, read = WRAPPERS[writer](NETWORKS[network]()), WRAPPERS[reader](NETWORKS[network]())
    load_plain(read, written.state_dict())
    assert equal(written, read)


def test_a_part_called_module_is_no_wrapper():
    written, read = compiled(Inner()), Inner()
    load_plain(read, written.state_dict())
    assert equal(written, read)
    assert torch.equal(read.module.weight, written.module.weight)


def test_names_of_another_network_stay_as_they_are_and_are_refused():
    other = {f"_orig_mod.{name}": value for name, value in nn.Sequential(nn.Linear(2, 3)).state_dict().items()}
    assert list(matched(plain(), other)) == ["0.weight", "0.bias"]
    strange = {"_orig_mod.9.weight": torch.zeros(2)}
    assert list(matched(plain(), strange)) == ["_orig_mod.9.weight"]
    for weights in (other, strange):
        with pytest.raises(RuntimeError, match="Missing key"):
            load_plain(plain(), weights)


DDP = """
import torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from cudfkd.boundary.weights import load_plain, plain_state
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
network, other = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
parallel = DistributedDataParallel(network)
assert list(parallel.state_dict()) == ["module.0.weight", "module.0.bias"]
assert list(plain_state(parallel)) == ["0.weight", "0.bias"]
load_plain(other, parallel.state_dict())
assert torch.equal(other[0].weight, network[0].weight)
load_plain(parallel, {name: value + 1 for name, value in other.state_dict().items()})
assert torch.equal(other[0].weight + 1, network[0].weight)
dist.destroy_process_group()
"""


def test_the_wrapper_of_several_processes():
    subprocess.run([sys.executable, "-c", DDP], check=True, timeout=300)


# What a run folder cannot hold


class Extra(nn.Linear):
    def __init__(self, state: object) -> None:
        super().__init__(2, 2)
        self.state = state

    def get_extra_state(self) -> object:
        return self.state

    def set_extra_state(self, state: object) -> None:
        self.state = state


def with_buffer(value: torch.Tensor) -> nn.Module:
    network = nn.Linear(2, 2)
    network.register_buffer("odd", value)
    return network


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Extra({"scale": 2}), "_extra_state is a value of type dict"),
        (lambda: Extra(None), "_extra_state is a value of type NoneType"),
        (lambda: compiled(nn.Sequential(Extra(3))), "student's 0._extra_state is a value of type int"),
        (lambda: with_buffer(torch.eye(2).to_sparse()), "odd is a tensor of layout torch.sparse_coo"),
        (lambda: with_buffer(torch.eye(2).to_sparse_csr()), "odd is a tensor of layout torch.sparse_csr"),
        (lambda: with_buffer(torch.zeros(2, dtype=torch.complex128)), "odd is a tensor of torch.complex128"),
        (lambda: with_buffer(torch.zeros(2, device="meta")), "odd is a tensor without values (on the device meta)"),
        (
            lambda: with_buffer(torch.quantize_per_tensor(torch.rand(2), 0.1, 0, torch.qint8)),
            "odd is a tensor of torch.qint8",
        ),
    ],
)
def test_a_student_that_a_folder_cannot_hold_is_one_line(make, told):
    with pytest.raises(ConfigError) as error:
        refuse_unsaveable(make())
    assert told in str(error.value)
    assert str(error.value).endswith("leave run_dir out, or keep it out of the student's state_dict()")


@pytest.mark.parametrize(
    "network",
    [
        *(make() for make in NETWORKS.values()), compiled(Inner()), weight_norm(nn.Linear(2, 2)),
        Extra(torch.zeros(3)), with_buffer(torch.zeros(0)), with_buffer(torch.zeros(2, dtype=torch.bfloat16)),
        with_buffer(torch.tensor(True)), with_buffer(torch.zeros(2, dtype=torch.complex64)),
    ],
)  # fmt: skip
def test_what_is_not_refused_can_be_saved(network):
    refuse_unsaveable(network)
    assert save({name: value.clone().contiguous() for name, value in plain_state(network).items()})


# Files


def same(one: dict, other: dict) -> bool:
    return list(one) == list(other) and all(map(torch.equal, one.values(), other.values()))


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.ckpt", "w.pth.tar", "w"])
@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict", "model", "net", "weights"])
def test_a_state_dict_is_found(name, key, tmp_path):
    weights = dict(plain().state_dict())
    content = {"epoch": 3, "optimizer": {"lr": 0.1, "state": {0: torch.zeros(2)}}, key: weights} if key else weights
    torch.save(content, tmp_path / name)
    assert same(read_weights(tmp_path / name), weights)


def test_the_old_format_of_torch_and_safetensors(tmp_path):
    weights = plain().state_dict()
    torch.save(weights, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(weights, tmp_path / "w.safetensors")
    for name in ("old.pt", "w.safetensors"):
        read = read_weights(tmp_path / name)
        assert same({key: read[key] for key in weights}, weights)


def saved(content: object, **how) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


def script() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), stream)
    return stream.getvalue()


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        writer.writestr("a", "b")
    return stream.getvalue()


class Trap:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('the file ran code')",)


DAMAGED = "is damaged or not a file of weights: fetch it again, or save model.state_dict()"
NO_STATE = "holds no state dict (neither as a whole nor under state_dict, model_state_dict, model, net, weights)"
BAD = {
    "a whole module": (
        lambda: saved(plain()),
        "a pickle of torch.nn.modules.container.Sequential, and reading it could",
    ),
    "an old whole module": (
        lambda: saved(plain(), _use_new_zipfile_serialization=False),
        "and reading it could run code",
    ),
    "a number of NumPy": (lambda: saved({"a": np.float64(1), "model": plain().state_dict()}), "a pickle of numpy"),
    "a trap": (lambda: saved(Trap()), "reading it could run code: save model.state_dict() and name that file"),
    "a bare trap": (lambda: pickle.dumps(Trap()), "a pickle of more than weights, and reading it could run code"),
    "TorchScript": (script, "is a TorchScript archive, and reading it could run code"),
    "nothing": (lambda: b"", DAMAGED),
    "a cut file": (lambda: saved(plain().state_dict())[:-50], DAMAGED),
    "an old cut file": (lambda: saved(plain().state_dict(), _use_new_zipfile_serialization=False)[:-5], DAMAGED),
    "text": (lambda: b"version https://git-lfs.github.com/spec/v1\n", DAMAGED),
    "a page": (lambda: b"<!DOCTYPE html><html></html>", DAMAGED),
    "an archive": (archive, DAMAGED),
    "a tensor": (lambda: saved(torch.zeros(3)), NO_STATE),
    "an empty dict": (lambda: saved({}), NO_STATE),
    "numbered tensors": (lambda: saved({0: torch.zeros(2)}), NO_STATE),
    "an optimizer": (lambda: saved(torch.optim.Adam(plain().parameters()).state_dict()), NO_STATE),
    "a sparse tensor": (
        lambda: saved({"w": torch.eye(2).to_sparse()}),
        "is not a file of plain weights (w is a tensor of layout torch.sparse_coo and type Tensor): save dense tensors",
    ),
    "a tensor without values": (lambda: saved({"w": torch.zeros(2, device="meta")}), "(w is a tensor without values"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", BAD)
def test_a_file_without_plain_weights_is_one_line(case, tmp_path, recwarn):
    make, told = BAD[case]
    (tmp_path / "w.pt").write_bytes(make())
    recwarn.clear()
    with pytest.raises(DataError) as error:
        read_weights(tmp_path / "w.pt")
    assert str(error.value).startswith(f"{tmp_path / 'w.pt'} ")
    assert told in str(error.value)
    assert not recwarn.list


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"none\.pt cannot be read \(No such file or directory\)"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\): mend its permissions, or name another"):
        read_weights(tmp_path)

    def closed(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", closed)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["new.pt", "old.pt", "w.safetensors"])
def test_a_file_with_any_wrong_bytes_is_read_or_refused(name, tmp_path):
    weights, chance = plain().state_dict(), random.Random(0)
    forms = {
        "new.pt": saved(weights), "old.pt": saved(weights, _use_new_zipfile_serialization=False),
        "w.safetensors": save(weights),
    }  # fmt: skip
    refused = 0
    for _ in range(60):
        content = bytearray(forms[name])
        content = content[: chance.randrange(len(content))] if chance.random() < 0.3 else content
        for _ in range(chance.choice([1, 3, 10])):
            if content:
                content[chance.randrange(min(len(content), 400))] = chance.randrange(256)
        (tmp_path / name).write_bytes(content)
        try:
            read_weights(tmp_path / name)
        except CudfkdError as error:
            refused += str(error).isprintable()
    assert refused > 20
