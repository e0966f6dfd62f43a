"""All that comes from outside, at all places where it enters: a matrix in which no cell is empty.

A row is a form of a network, a data set, or a state of the process. A column is an entry. A cell says what happens:
`WORKS`, `Warns(text)`, `Refused(text)` with a line of error, or `Absent(reason)` where the entry cannot be given such a
thing.
"""

import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.utils.data import ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import cudfkd
from cudfkd import ConfigError
from tests.cudfkd.engine.test_foreign import Flat, config


class Refused(NamedTuple):
    line: str


class Warns(NamedTuple):
    line: str


class Absent(NamedTuple):
    reason: str


WORKS = "works"
BY_NAME = Absent("takes networks by name only")
LOADED = Absent("its weights alone are read")


# Networks


class Wrapped(nn.Module):
    """A network whose answer is changed by a function."""

    def __init__(self, change: Callable, net: nn.Module | None = None, *, when: str = "always") -> None:
        super().__init__()
        self.net, self.change, self.when = net or Flat(), change, when

    def forward(self, x):
        y = self.net(x)
        active = self.when == "always" or self.training == (self.when == "train")
        return self.change(y) if active else y


class NoGrad(Flat):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Stubborn(Flat):
    def train(self, mode=True):
        return super().train(True)


class NoReturn(Flat):
    def train(self, mode=True):
        super().train(mode)

    def eval(self):
        super().eval()


class InPlace(Flat):
    def forward(self, x):
        return super().forward(x.mul_(2))


def exported() -> nn.Module:
    return torch.export.export(Flat().eval(), (torch.rand(2, 3, 16, 16),)).module()


class Noisy(Flat):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))


class Squeezes(nn.Module):
    """A network that fails on a single image, as many do that call `squeeze()`."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).mean((2, 3), keepdim=True).squeeze())


class ExtraState(Flat):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def poisoned() -> nn.Module:
    net = Flat()
    net.fc.weight.data[0, 0] = float("nan")
    return net


def parametrized(which: Callable) -> nn.Module:
    net = Flat()
    which(net.conv)
    return net


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return Flat()


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return Flat()


def spread() -> nn.Module:
    net = Flat()
    net.fc.to("meta")
    return net


def lazy() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Flat().eval(), {nn.Linear})


NO_IMAGES = "no gradient reaches the images through the teacher"
ALONE = "it must return logits alone, so wrap it in a module that does"
OTHER_SHAPE = "it must be floats of shape (batch, classes)"
PROBABILITIES = "gives probabilities, as after softmax"
LOGS = "gives log-probabilities, as after log-softmax"
NETWORKS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "plain": (Flat, dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=WORKS)),
    "forward without gradient": (
        NoGrad, dict(teacher=Refused(NO_IMAGES), student=Refused("no gradient reaches the student's parameters"),
                     evaluate=WORKS, load_run=LOADED)),
    "detached logits": (
        lambda: Wrapped(torch.Tensor.detach),
        dict(teacher=Refused(NO_IMAGES), student=Refused("no gradient reaches the student's parameters"),
             evaluate=WORKS, load_run=LOADED)),
    "rounded logits": (
        lambda: Wrapped(lambda y: (50 * y).round() / 50),
        dict(teacher=Refused(NO_IMAGES), student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "no gradient in eval mode": (
        lambda: Wrapped(torch.Tensor.detach, when="eval"),
        dict(teacher=Refused(NO_IMAGES), student=Warns("through the student in eval mode"), evaluate=WORKS,
             load_run=LOADED)),
    "softmax": (
        lambda: nn.Sequential(Flat(), nn.Softmax(1)),
        dict(teacher=Warns(PROBABILITIES), student=Warns(PROBABILITIES), evaluate=Warns(PROBABILITIES),
             load_run=LOADED)),
    "log-softmax": (
        lambda: nn.Sequential(Flat(), nn.LogSoftmax(1)),
        dict(teacher=Warns(LOGS), student=Warns(LOGS), evaluate=Warns(LOGS), load_run=LOADED)),
    "tuple": (
        lambda: Wrapped(lambda y: (y, y)),
        dict(teacher=Refused(f"returns a tuple: {ALONE}"), student=Refused(f"returns a tuple: {ALONE}"),
             evaluate=Refused(f"returns a tuple: {ALONE}"), load_run=LOADED)),
    "dict": (
        lambda: Wrapped(lambda y: {"logits": y}),
        dict(teacher=Refused(f"returns a dict: {ALONE}"), student=Refused(f"returns a dict: {ALONE}"),
             evaluate=Refused(f"returns a dict: {ALONE}"), load_run=LOADED)),
    "object with .logits": (
        lambda: Wrapped(lambda y: SimpleNamespace(logits=y)),
        dict(teacher=Refused(ALONE), student=Refused(ALONE), evaluate=Refused(ALONE), load_run=LOADED)),
    "tuple in train mode": (
        lambda: Wrapped(lambda y: (y, y), when="train"),
        dict(teacher=WORKS, student=Refused(f"the student in train mode returns a tuple: {ALONE}"), evaluate=WORKS,
             load_run=LOADED)),
    "other classes in train mode": (
        lambda: Wrapped(lambda y: y[:, :3], when="train"),
        dict(teacher=WORKS, student=Refused("4 classes in eval mode, 3 in train mode"), evaluate=WORKS,
             load_run=LOADED)),
    "one dimension": (
        lambda: Wrapped(lambda y: y.mean(1)),
        dict(teacher=Refused(OTHER_SHAPE), student=Refused(OTHER_SHAPE), evaluate=Refused(OTHER_SHAPE),
             load_run=LOADED)),
    "four dimensions": (
        lambda: Wrapped(lambda y: y[:, :, None, None]),
        dict(teacher=Refused(OTHER_SHAPE), student=Refused(OTHER_SHAPE), evaluate=Refused(OTHER_SHAPE),
             load_run=LOADED)),
    "one logit": (
        lambda: Wrapped(lambda y: y[:, :1]),
        dict(teacher=Refused("one logit an image"), student=Refused("one logit an image"),
             evaluate=Refused("one logit an image"), load_run=LOADED)),
    "class numbers": (
        lambda: Wrapped(lambda y: y.argmax(1, keepdim=True).expand(-1, 4)),
        dict(teacher=Refused("a tensor of torch.int64"), student=Refused("a tensor of torch.int64"),
             evaluate=Refused("a tensor of torch.int64"), load_run=LOADED)),
    "NaN in its weights": (
        poisoned, dict(teacher=Refused("logits are not finite"), evaluate=Refused("are not finite"),
                       student=Refused("logits are not finite"), load_run=WORKS)),
    "logits that are random": (
        Noisy, dict(teacher=Warns("differ between two passes"), student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "stays in train mode": (
        Stubborn, dict(teacher=Refused("stays in train mode"), student=Refused("stays in train mode"),
                       evaluate=Refused("stays in train mode"), load_run=WORKS)),
    "train() and eval() return None": (
        NoReturn, dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=WORKS)),
    "changes its input in place": (InPlace, dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "a program of torch.export": (
        exported, dict(teacher=Refused("has no eval mode"), student=Refused("has no eval mode"),
                       evaluate=Refused("has no eval mode"), load_run=Refused("has no eval mode"))),
    "fails on one image": (Squeezes, dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "float64": (
        lambda: Flat().double(),
        dict(teacher=Refused("weights of torch.float64"), student=Refused("weights of torch.float64"),
             evaluate=Refused("weights of torch.float64"), load_run=WORKS)),
    "float16": (
        lambda: Flat().half(),
        dict(teacher=Refused("weights of torch.float16"), student=Refused("weights of torch.float16"),
             evaluate=Refused("weights of torch.float16"), load_run=WORKS)),
    "weight_norm": (
        lambda: parametrized(weight_norm), dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "spectral_norm": (
        lambda: parametrized(spectral_norm), dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "orthogonal": (
        lambda: parametrized(orthogonal), dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "weight_norm by hooks": (
        lambda: parametrized(nn.utils.spectral_norm),
        dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "DataParallel": (
        lambda: nn.DataParallel(Flat()), dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=WORKS)),
    "quantized": (
        quantized, dict(teacher=Refused(NO_IMAGES), evaluate=WORKS, load_run=LOADED,
                        student=Refused("no gradient reaches the student's parameters in train mode"))),
    "extra state": (
        ExtraState, dict(teacher=WORKS, student=WORKS, evaluate=WORKS, load_run=LOADED)),
    "made in inference mode": (
        made_in_inference_mode,
        dict(teacher=Refused("made under torch.inference_mode"), student=Refused("made under torch.inference_mode"),
             evaluate=WORKS, load_run=Refused("made under torch.inference_mode"))),
    "on the device meta": (
        on_meta, dict(teacher=Refused("the device meta"), student=Refused("the device meta"),
                      evaluate=Refused("the device meta"), load_run=Refused("the device meta"))),
    "on two devices": (
        spread, dict(teacher=Refused("the device meta"), student=Refused("the device meta"),
                     evaluate=Refused("the device meta"), load_run=Refused("the device meta"))),
    "lazy": (
        lazy, dict(teacher=Refused("has lazy layers"), student=Refused("has lazy layers"),
                   evaluate=Refused("has lazy layers"), load_run=Refused("has lazy layers"))),
    "a class": (
        lambda: Flat, dict(teacher=Refused("is the class Flat"), student=Refused("is the class Flat"),
                           evaluate=Refused("is the class Flat"), load_run=Refused("is the class Flat"))),
    "a name": (
        lambda: "lenet5", dict(teacher=Refused("is of type str"), student=Refused("is of type str"),
                               evaluate=Refused("is of type str"), load_run=Refused("is of type str"))),
    "a state dict": (
        lambda: Flat().state_dict(),
        dict(teacher=Refused("is of type OrderedDict"), student=Refused("is of type OrderedDict"),
             evaluate=Refused("is of type OrderedDict"), load_run=Refused("is of type OrderedDict"))),
    "a function": (
        lambda: lambda x: x.mean((2, 3)),
        dict(teacher=Refused("is of type function"), student=Refused("is of type function"),
             evaluate=Refused("is of type function"), load_run=Refused("is of type function"))),
}  # fmt: skip


def held_out() -> TensorDataset:
    rng = torch.Generator().manual_seed(3)
    return TensorDataset(torch.rand(9, 3, 16, 16, generator=rng).mul(255).round() / 255, torch.arange(9) % 4)


IMAGES = held_out()


def saved_run(tmp_path):
    cudfkd.distill(Flat(), Flat(), config(), run_dir=tmp_path / "run")
    return tmp_path / "run"


NETWORK_ENTRIES: dict[str, Callable] = {
    "teacher": lambda net, at: cudfkd.distill(net, Flat(), config(), evaluate_on=held_out(), run_dir=at / "new"),
    "student": lambda net, at: cudfkd.distill(Flat(), net, config(), evaluate_on=held_out()),
    "evaluate": lambda net, at: (
        cudfkd.evaluate(net, Flat(), held_out()), cudfkd.evaluate(Flat(), net, held_out())
    ),
    "load_run": lambda net, at: cudfkd.load_run(saved_run(at), student=net),
}  # fmt: skip


def check(cell: Any, act: Callable[[], Any]) -> Any:
    """Acts, and checks that what happens is what the cell says."""
    if isinstance(cell, Refused):
        with pytest.raises(cudfkd.CudfkdError) as error:
            act()
        assert cell.line in str(error.value)
        assert str(error.value).isprintable()
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = act()
    lines = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    if isinstance(cell, Warns):
        assert any(cell.line in line for line in lines), lines
    else:
        assert lines == []
    return done


@pytest.mark.parametrize("entry", NETWORK_ENTRIES)
@pytest.mark.parametrize("form", NETWORKS)
def test_a_network_from_outside(form, entry, tmp_path):
    make, cells = NETWORKS[form]
    if isinstance(cells[entry], Absent):
        pytest.skip(cells[entry].reason)
    check(cells[entry], lambda: NETWORK_ENTRIES[entry](make(), tmp_path))
    assert not isinstance(cells[entry], Refused) or not (tmp_path / "new").exists()


# Data sets


class Transformed(TensorDataset):
    """A TensorDataset whose own items differ from its tensors."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return 1 - image, label


class Items(Dataset):
    """A data set that makes each item of a pair by a function."""

    def __init__(self, make: Callable, n: int = 9) -> None:
        self.pairs, self.make, self.n = held_out(), make, n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return self.make(*self.pairs[index])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(held_out())


def picture(image, label):
    return Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()), int(label)


def fail(image, label):
    raise OSError("no such\nfile")


OWN = "with __len__ and __getitem__"
DATA: dict[str, tuple[Callable[[], Any], Any]] = {
    "TensorDataset": (held_out, WORKS),
    "a subset": (lambda: Subset(held_out(), range(9)), WORKS),
    "two sets joined": (lambda: ConcatDataset([Subset(held_out(), [0, 1]), Subset(held_out(), range(2, 9))]), WORKS),
    "a list of pairs": (lambda: list(held_out()), WORKS),
    "an IterableDataset": (Stream, WORKS),
    "two streams joined": (lambda: ChainDataset([Stream()]), WORKS),
    "NumPy images and labels": (lambda: Items(lambda x, y: (x.numpy(), np.int64(y))), WORKS),
    "whole numbers as labels": (lambda: Items(lambda x, y: (x, int(y))), WORKS),
    "float64 images": (lambda: TensorDataset(held_out().tensors[0].double(), held_out().tensors[1]), WORKS),
    "float64 items": (lambda: Items(lambda x, y: (x.double().numpy(), y)), WORKS),
    "int32 labels": (lambda: TensorDataset(held_out().tensors[0], held_out().tensors[1].int()), WORKS),
    "images with gradient": (lambda: Items(lambda x, y: (x.clone().requires_grad_(), y)), WORKS),
    "made in inference mode": (torch.inference_mode()(held_out), WORKS),
    "a DataLoader": (lambda: DataLoader(held_out(), 4), Refused("is a DataLoader: pass its .dataset")),
    "a generator": (lambda: (pair for pair in held_out()), Refused("it can be read once only, so pass")),
    "dicts": (lambda: Items(lambda x, y: {"image": x, "label": y}), Refused("gives dicts with 'image', 'label': give")),
    "PIL images": (lambda: Items(picture), Refused("PIL.Image, no tensors: add torchvision.transforms.ToTensor()")),
    "images of another kind": (lambda: Items(lambda x, y: (x.tolist(), y)), Refused("builtins.list, no tensors: make")),
    "bytes": (lambda: Items(lambda x, y: ((255 * x).byte(), y)), Refused("so divide bytes by 255")),
    "normalised images": (lambda: Items(lambda x, y: (x * 4 - 2, y)), Refused("they must lie in [0, 1]")),
    "NaN": (lambda: Items(lambda x, y: (x * float("nan"), y)), Refused("images from nan to nan")),
    "channels last": (lambda: Items(lambda x, y: (x.permute(1, 2, 0), y)), Refused("channels come first")),
    "no channels": (lambda: Items(lambda x, y: (x[0], y)), Refused("with unsqueeze(0)")),
    "several sizes": (lambda: Items(lambda x, y: (x[:, : 8 + int(y)], y)), Refused("images of several shapes")),
    "labels as words": (lambda: Items(lambda x, y: (x, "cat")), Refused("labels such as 'cat'")),
    "labels as None": (lambda: Items(lambda x, y: (x, None)), Refused("labels such as None")),
    "one-hot labels": (lambda: Items(lambda x, y: (x, torch.eye(4)[y])), Refused("and shape (9, 4)")),
    "labels of severalpes": (lambda: Items(lambda x, y: (x, torch.zeros(int(y)))), Refused("labels of several")),
    "labels out of range": (lambda: Items(lambda x, y: (x, y + 1)), Refused("labels from 1 to 4: the teacher's")),
    "unlabelled images": (lambda: Items(lambda x, y: (x, -1)), Refused("labels from -1 to -1")),
    "images alone": (lambda: Items(lambda x, y: x), Refused("it gives a Tensor: it must give an image and a label")),
    "triples": (lambda: Items(lambda x, y: (x, y, y)), Refused("it gives a tuple of 3")),
    "empty": (lambda: Items(lambda x, y: (x, y), 0), Refused("is empty: give it at least one image")),
    "longer than it says": (lambda: Items(lambda x, y: (x, y), 12), Refused("fails at item 9: IndexError")),
    "items that fail": (lambda: Items(fail), Refused("fails at item 0: OSError: no such file")),
    "a tensor": (lambda: held_out().tensors[0], Refused("is a Tensor: pass torch.utils.data.TensorDataset")),
    "two tensors": (lambda: held_out().tensors, Refused("is a tuple: pass torch.utils.data.TensorDataset")),
    "two arrays": (lambda: [t.numpy() for t in held_out().tensors], Refused("is a list: pass torch.utils.data.Tensor")),
    "a name": (lambda: "cifar10", Refused("is a str: pass a data set of pairs")),
    "a class": (lambda: Items, Refused("make a data set of this class")),
    "splits by name": (lambda: {"test": held_out()}, Refused("is a dict: pass one of its data sets")),
    "a number": (lambda: 3, Refused(f"is a int: pass a data set {OWN}")),
}  # fmt: skip
DATA_ENTRIES: dict[str, Callable] = {
    "evaluate_on": lambda d: cudfkd.distill(Flat(), Flat(), config(), evaluate_on=d).summary["loyalty"],
    "train_on": lambda d: cudfkd.distill(Flat(), Flat(), kd(), train_on=d).rows[-1]["loss"],
    "evaluate": lambda d: cudfkd.evaluate(Flat(), Flat(), d),
}


def kd() -> cudfkd.DistillConfig:
    sizes = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "image_size": 16, "channels": 3}
    return cudfkd.DistillConfig(method="kd", **sizes)


@pytest.mark.parametrize("entry", DATA_ENTRIES)
@pytest.mark.parametrize("form", DATA)
def test_a_data_set_from_outside(form, entry):
    """A form that works gives what a TensorDataset of the same images gives."""
    make, cell = DATA[form]
    torch.manual_seed(0)
    done = check(cell, lambda: DATA_ENTRIES[entry](make()))
    if cell == WORKS:
        torch.manual_seed(0)
        assert done == DATA_ENTRIES[entry](held_out())


@pytest.mark.parametrize("entry", DATA_ENTRIES)
def test_a_data_sets_own_items_count(entry):
    torch.manual_seed(0)
    images, labels = held_out().tensors
    through_items = DATA_ENTRIES[entry](Transformed(images, labels))
    torch.manual_seed(0)
    assert through_items == DATA_ENTRIES[entry](TensorDataset(1 - images, labels))
    torch.manual_seed(0)
    assert through_items != DATA_ENTRIES[entry](TensorDataset(images, labels))


# Numbers that normalise


MEANS = {
    "tuple": ((0.5, 0.4, 0.3), (0.2, 0.2, 0.3)),
    "list": ([0.5, 0.4, 0.3], [0.2, 0.2, 0.3]),
    "array": (np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.2, 0.3])),
    "float32 array": (np.float64([0.5, 0.4, 0.3]), np.array([0.2, 0.2, 0.3])),
    "tensor": (torch.tensor([0.5, 0.4, 0.3], dtype=torch.float64), torch.tensor([0.2, 0.2, 0.3], dtype=torch.float64)),
    "tensor (3, 1, 1)": (
        torch.tensor([0.5, 0.4, 0.3], dtype=torch.float64).view(3, 1, 1),
        torch.tensor([0.2, 0.2, 0.3], dtype=torch.float64).view(3, 1, 1),
    ),
}


@pytest.mark.parametrize("form", MEANS)
def test_mean_and_std_in_every_form(form):
    mean, std = MEANS[form]
    settings = config(mean=mean, std=std)
    assert settings == config(mean=MEANS["tuple"][0], std=MEANS["tuple"][1])
    torch.manual_seed(0)
    networks = Flat(), Flat()
    assert cudfkd.evaluate(*networks, held_out(), mean, std) == cudfkd.evaluate(*networks, held_out(), *MEANS["tuple"])


def test_a_bare_number_is_the_mean_of_every_channel():
    assert config(mean=0.5, std=0.25).mean == (0.5,)
    networks = Flat(), Flat()
    every = cudfkd.evaluate(*networks, held_out(), (0.5,) * 3, (0.25,) * 3)
    for half, quarter in ((0.5, 0.25), (np.float32(0.5), np.float32(0.25)), (torch.tensor(0.5), torch.tensor(0.25))):
        assert cudfkd.evaluate(*networks, held_out(), half, quarter) == every


@pytest.mark.parametrize("path", [None, "", 3])
def test_a_path_that_is_none_is_one_line(path):
    check(Refused("is not allowed: it must be the path of a folder"), lambda: cudfkd.load_run(path))


@pytest.mark.parametrize("mean", ["0.5", True, (0.5, "x", 0.1), float("nan"), (float("inf"),) * 3, {}, []])
def test_a_mean_that_is_none_is_one_line_in_both(mean):
    for act in (lambda: cudfkd.evaluate(Flat(), Flat(), held_out(), mean, None), lambda: config(mean=mean, std=mean)):
        check(Refused("mean = "), act)


# States of the process


@contextmanager
def default_device(name: str):
    before = torch.get_default_device()
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None if before.type == "cpu" else before)


STATES = {
    "no_grad": torch.no_grad,
    "set_grad_enabled(False)": lambda: torch.set_grad_enabled(False),
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast, off": lambda: torch.autocast("cpu", enabled=False),
    "default device meta": lambda: default_device("meta"),
    "inside torch.device": lambda: torch.device("meta"),
}


@dataclass
class Pair:
    teacher: nn.Module
    student: nn.Module


def pair() -> Pair:
    torch.manual_seed(7)
    return Pair(Flat(), Flat())


def _trained_teacher(at) -> str:
    from tests.cudfkd.teachers.test_training import train

    return train(at / "teachers", epochs=1)["sha256"]


def _state(network: nn.Module) -> list:
    return [value.tolist() for value in network.state_dict().values()]


def _by_command(at) -> str:
    from cudfkd.cli import main

    sizes = {"epochs": 1, "steps-per-epoch": 2, "batch-size": 4, "generator-width": 2, "latent-dim": 4}
    words = ["distill", *(word for name, value in sizes.items() for word in (f"--{name}", str(value))), "--out"]
    assert main([*words, str(at / "by-command")]) == 0
    return (at / "by-command" / "student.safetensors").read_bytes().hex()


PROCESS_ENTRIES: dict[str, Callable] = {
    "distill": lambda p, at: _state(cudfkd.distill(p.teacher, p.student, config(), evaluate_on=IMAGES).student),
    "distill in bfloat16": lambda p, at: _state(
        cudfkd.distill(p.teacher, p.student, config(precision="bfloat16", epochs=2)).student
    ),
    "kd": lambda p, at: _state(cudfkd.distill(p.teacher, p.student, kd(), train_on=IMAGES).student),
    "evaluate": lambda p, at: cudfkd.evaluate(p.student, p.teacher, IMAGES),
    "load_run": lambda p, at: _state(cudfkd.load_run(saved_by(p, at), student=p.student).student),
    "build": lambda p, at: _state(cudfkd.load_teacher("fashion-mnist", "lenet5"))[0],
    "train_teacher": lambda p, at: _trained_teacher(at),
    "command line": lambda p, at: _by_command(at),
}


def saved_by(p: Pair, at):
    if not (at / "run").exists():
        cudfkd.distill(p.teacher, deepcopy(p.student), config(), run_dir=at / "run")
    return at / "run"


@pytest.fixture
def _images(monkeypatch, request):
    if request.node.callspec.params["entry"] == "train_teacher":
        request.getfixturevalue("_few_images")


from tests.cudfkd.teachers.test_training import _few_images  # noqa: E402, F401, a fixture


@pytest.mark.usefixtures("_images")
@pytest.mark.parametrize("entry", PROCESS_ENTRIES)
@pytest.mark.parametrize("state", STATES)
def test_the_state_of_the_process_changes_no_bit(state, entry, tmp_path):
    act = PROCESS_ENTRIES[entry]
    plain, inside = pair(), pair()
    expected = act(plain, tmp_path / "plain")
    saved_by(inside, tmp_path / "inside") if entry == "load_run" else None
    with STATES[state]():
        before = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_device()
        result = act(inside, tmp_path / "inside")
        assert (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_device()) == before
    assert result == expected


# Completeness


def test_no_cell_is_empty():
    assert {form: cells.keys() ^ NETWORK_ENTRIES.keys() for form, (_, cells) in NETWORKS.items()} == {
        form: set() for form in NETWORKS
    }


# Objects that are no networks and no data


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"config": {"epochs": 1}}, "config is of type dict: it must be a DistillConfig, DistillConfig(**it)"),
        ({"config": None}, "config is of type NoneType"),
        ({"callbacks": cudfkd.Progress()}, "callbacks is of type Progress: it must be a list of callbacks"),
        ({"callbacks": None}, "callbacks is of type NoneType"),
        ({"callbacks": [cudfkd.Progress]}, "the callback Progress is a class: pass an object, Progress(...)"),
        ({"callbacks": [print]}, "which has no before_run: derive it from Callback"),
    ],
)
def test_other_arguments_of_distill(arguments, line):
    check(Refused(line), lambda: cudfkd.distill(Flat(), Flat(), **{"config": config()} | arguments))


def test_networks_that_share_state_are_refused():
    for share, things in (
        (lambda t, s: setattr(s, "fc", t.fc), "2 parameters"),
        (lambda t, s: s.norm.register_buffer("running_mean", t.norm.running_mean), "1 buffers"),
        (lambda t, s: setattr(s, "drop", t.drop), "1 layers of dropout"),
    ):
        teacher, student = Flat(), Flat()
        share(teacher, student)
        line = f"teacher and student share {things}"
        check(Refused(line), lambda t=teacher, s=student: cudfkd.distill(t, s, config()))
    teacher, student = Flat(), Flat()
    student.relu = teacher.relu
    cudfkd.distill(teacher, student, config())


def test_a_network_serves_one_thread_at_a_time():
    teacher, student = Flat(), Flat()
    tried: list[str] = []

    class Elsewhere(cudfkd.engine.loop.Callback):
        def after_synthesis(self, ctx):
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()

    def attempt():
        for act in (
            lambda: cudfkd.distill(teacher, Flat(), config()),
            lambda: cudfkd.evaluate(student, Flat(), held_out()),
        ):
            try:
                act()
            except ConfigError as error:
                tried.append(str(error))

    cudfkd.distill(teacher, student, config(steps_per_epoch=1), callbacks=[Elsewhere()])
    assert tried == [
        "the teacher is in use in another thread: pass copy.deepcopy(...) of it",
        "the student is in use in another thread: pass copy.deepcopy(...) of it",
    ]
    cudfkd.evaluate(student, teacher, held_out())
