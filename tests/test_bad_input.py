"""Bad input on the command line: every row takes a command that works and makes one thing bad.

The result must be the same for all: exit code 2, one line on stderr with the value, and unchanged folders.
Calls of the library are in test_bad_calls.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

import analysis.__main__
import cudfkd.cli
from analysis import origin
from analysis.evidence import parameters, reproduce, results
from cudfkd import data, methods
from cudfkd.config import DistillConfig
from cudfkd.curriculum import Curriculum
from cudfkd.data import fashion_mnist
from cudfkd.teachers.recipes import Recipe

TINY = "--epochs 2 --steps-per-epoch 2 --round-steps 2 --batch-size 4 --generator-width 2"
TEACHER = Path("fashion-mnist") / "lenet5-seed0"
CHECKPOINT = "checkpoint-00001.safetensors"

# The commands that work. {at} holds: finished/ and stopped/, run folders; mine.*, a teacher; plain.pth, its
# weights alone; project/, notebooks.
BASES = {
    "distill": f"distill {TINY} --out {{at}}/out",
    "mine": f"distill {TINY} --out {{at}}/out --teacher {{at}}/mine.safetensors",
    "plain": f"distill {TINY} --out {{at}}/out --teacher {{at}}/plain.pth --teacher-arch lenet5",
    "resume": f"distill {TINY} --out {{at}}/stopped --resume",
    "again": f"distill {TINY} --out {{at}}/finished --resume",
    "evaluate": "evaluate {at}/finished",
    "evaluate stopped": "evaluate {at}/stopped",
    "teacher": "teacher --epochs 1 --batch-size 8 --out {at}/teacher",
    "methods": "methods",
    "notebooks": "notebooks {at}/copy",
    "doctor": "doctor",
    "completion": "completion bash",
    "version": "--version",
    "execute": "analysis execute {at}/project/notebooks/01_tiny.ipynb --profile tiny",
    "reproduce": "analysis reproduce --profile tiny",
    "scorecard": "analysis scorecard --profile tiny",
    "record": "analysis record --profile tiny",
}

Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Row:
    """A base command, words to add (a later option wins) or a change of its files, and the expected text."""

    base: str
    told: str
    add: str | tuple[str, ...] = ()
    spoil: Spoil | None = None
    words: str = ""

    @property
    def name(self) -> str:
        added = self.add if isinstance(self.add, str) else " ".join(self.add)
        return f"{self.base} {self.words or added} {self.told}"[:90]

    def command(self, at: Path) -> list[str]:
        words = (self.words or BASES[self.base]).split()
        words += self.add.split() if isinstance(self.add, str) else self.add
        return [word.replace("{at}", str(at)) for word in words]


def unfinished(at: Path) -> None:
    """Makes the files of a teacher's training that was stopped, with a bad description."""
    (at / "teacher" / "lenet5-seed0").mkdir(parents=True)
    for name in ("config.json", ".lock"):
        (at / "teacher" / "lenet5-seed0" / name).touch()


def row(base: str, add: str | tuple[str, ...], told: str) -> Row:
    return Row(base, told, add)


# Changes of a file


def text(file: str, content: str) -> Spoil:
    return lambda at: (at / file).write_text(content)


def raw(file: str, content: bytes) -> Spoil:
    return lambda at: (at / file).write_bytes(content)


def gone(file: str) -> Spoil:
    return lambda at: (at / file).unlink()


def cut(file: str) -> Spoil:
    return lambda at: (at / file).write_bytes((at / file).read_bytes()[:-20])


def flipped(file: str, where: int = -9) -> Spoil:
    def spoil(at: Path) -> None:
        content = bytearray((at / file).read_bytes())
        content[where] ^= 1
        (at / file).write_bytes(content)

    return spoil


def folder(file: str) -> Spoil:
    def spoil(at: Path) -> None:
        (at / file).unlink(missing_ok=True)
        (at / file).mkdir(parents=True)

    return spoil


def put(file: str, *path: str, to: Any) -> Spoil:
    """Sets one value inside a JSON file; `...` takes it out."""

    def spoil(at: Path) -> None:
        plain = json.loads((at / file).read_text())
        inner = plain
        for key in path[:-1]:
            inner = inner[key]
        inner.pop(path[-1], None)
        if to is not ...:
            inner[path[-1]] = to
        (at / file).write_text(json.dumps(plain))

    return spoil


def state(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    """Changes the tensors of a checkpoint, and its hash with them."""

    def spoil(at: Path) -> None:
        tensors = load_file(at / "stopped" / CHECKPOINT)
        change(tensors)
        content = save(tensors)
        (at / "stopped" / CHECKPOINT).write_bytes(content)
        put("stopped/checkpoint.json", "sha256", to=sha256(content).hexdigest())(at)

    return spoil


COMMAND_ROWS = [
    Row("version", "unknown command 'dstill': did you mean 'distill'?", words="dstill"),
    Row("version", "unknown command '--help-me'", words="--help-me"),
    Row("version", "unknown command ''", add=("",), words=" "),
    Row("version", r"unknown command 'a\nb'", add=("a\nb",), words=" "),
    row("methods", "extra", "unknown option 'extra'"),
    row("methods", "--all", "unknown option '--all'"),
    Row("notebooks", "the following arguments are required: DIR", words="notebooks"),
    Row("notebooks", "'' is not allowed for a path: name a file or folder", add=("",), words="notebooks"),
    Row("notebooks", "finished is not empty: name a new folder", words="notebooks {at}/finished"),
    Row("notebooks", "mine.json cannot be written (Not a directory)", words="notebooks {at}/mine.json"),
    Row("notebooks", "sub cannot be written (Not a directory)", words="notebooks {at}/mine.json/sub"),
    Row("notebooks", r"/a\x00b cannot be written", add=("/a\0b",), words="notebooks"),
    row("notebooks", "more", "unknown option 'more'"),
    row("notebooks", "--force", "unknown option '--force'"),
    row("doctor", "--dataroot x", "unknown option '--dataroot': did you mean '--data-root'?"),
    Row("completion", "unknown shell 'fish': did you mean 'zsh'? known: bash, tcsh, zsh", words="completion fish"),
    Row("completion", "SHELL", words="completion"),
    row("completion", "zsh", "unknown option 'zsh'"),
    # distill: names
    row("distill", "--epoch 3", "unknown option '--epoch': did you mean '--epochs'?"),
    row("distill", "--steps 3", "unknown option '--steps'"),
    row("distill", ("--a\nb", "3"), r"unknown option '--a\nb'"),
    row("distill", "-x", "unknown option '-x'"),
    row("distill", "extra", "unknown option 'extra'"),
    row("distill", "--epochs", "--epochs: expected one argument"),
    row("distill", "--method cudfk", "unknown method 'cudfk': did you mean 'cudfkd'?"),
    row("distill", "--method cüdfkd", "unknown method 'cüdfkd': did you mean 'cudfkd'?"),
    row("distill", ("--method", ""), "unknown method ''"),
    row("distill", "--data fashon-mnist", "unknown data set 'fashon-mnist': did you mean 'fashion-mnist'?"),
    row("distill", "--data {at}/none", "none: name the folder of the images"),
    row("distill", "--data {at}/mine.json", "mine.json is a file: name the folder of the images"),
    row("distill", "--data {at}/finished", "finished holds no class folders: put the images into"),
    row("distill", ("--data", "/a\0b"), r"/a\x00b cannot be read (embedded null byte)"),
    row("distill", "--student lenet", "unknown model 'lenet': did you mean 'lenet5'?"),
    row("distill", "--teacher resnet", "unknown teacher 'fashion-mnist resnet seed 0'"),
    row("distill", "--teacher lenet5-wrong30", "--seed 0 --wrong-labels 0.3 --out DIR) and name its file"),
    row("distill", "--teacher-seed 9", "unknown teacher 'fashion-mnist lenet5 seed 9'"),
    row("distill", "--teacher-seed -1", "teacher_seed = -1"),
    row("distill", "--teacher-seed x", "'x' is not allowed for a seed"),
    row("distill", "--data cifar10", "unknown teacher 'cifar10 lenet5 seed 0': none ships for cifar10, so train one"),
    row("distill", "--teacher none.safetensors", "there is no teacher none.safetensors: name the file of its weights"),
    row("distill", "--regularizer lgo", "unknown regularizer 'lgo': did you mean 'log'?"),
    row("distill", "--granularity smple", "unknown granularity 'smple': did you mean 'sample'?"),
    row("distill", "--on-dead x", "unknown on_dead 'x': known: stop, warn"),
    row("distill", "--loss hinge", "unknown loss 'hinge'"),
    row("distill", "--store pol", "unknown store 'pol': did you mean 'pool'?"),
    row("distill", "--augment maybe", "augment = 'maybe' is not allowed: it must be true or false"),
    row("distill", "--precision fp16", "unknown precision 'fp16': did you mean 'bfloat16'?"),
    row("distill", "--tv 0.1", "unknown option of method cudfkd 'tv'"),
    # distill: numbers (every numeric option meets nan, inf, -1, and a word below)
    row("distill", "--epochs 0", "epochs = 0 is not allowed: it must be greater than or equal to 1"),
    row("distill", "--epochs 1.5", "epochs = 1.5"),
    row("distill", "--epochs 1e3", "epochs = 1000.0"),
    row("distill", f"--epochs {'9' * 30}", "epochs = 999999999999999999999999999999 is not allowed"),
    row("distill", "--batch-size 0", "batch_size = 0"),
    row("distill", "--batch-size 1", "batch_size = 1"),
    row("distill", "--generator-width 1000000000000", "out of memory"),
    row("distill", "--latent-dim 1000000000000", "out of memory"),
    row("distill", "--lr 0", "lr = 0 is not allowed: it must be greater than 0"),
    row("distill", "--lr 1e400", "lr = inf"),
    row("distill", "--lr 1e39", "lr = 1e+39 is not allowed: float32 holds numbers from"),
    row("distill", "--lr 1e-50", "lr = 1e-50 is not allowed: float32 holds numbers from"),
    row("distill", "--lr 0.1 --lr nan", "lr = nan"),
    row("distill", "--lr=", "lr = ''"),
    row("distill", ("--lr", "a\nb"), r"lr = 'a\nb'"),
    row("distill", "--lam-start 0", "lam_start = 0"),
    row("distill", "--regularizer jiang-log", "jiang-log is defined for lambda below 1"),
    row("distill", "--adv-begin 0.9", "adv_begin = 0.9 is not allowed: it must not come after adv_finish = 0.5"),
    row("distill", "--quantile-start 0.9 --quantile-end 0.5", "quantile_start = 0.9 is not allowed"),
    row("distill", "--round-steps 7", "round_steps = 7 is not allowed: it must divide steps_per_epoch = 2"),
    row("distill", "--generator-ratio 0.3", "generator_ratio = 0.3 is not allowed: times round_steps = 2"),
    row("distill", "--keep-epochs 99", "keep_epochs = 99 is not allowed: the run has 2 epochs"),
    row("distill", "--keep-epochs 0", "keep_epochs = 0"),
    row("distill", "--keep-epochs 1,,2", "keep_epochs = ''"),
    row("distill", "--mean 0.1,x --std 1,1", "mean = 'x'"),
    row("distill", ("--mean", "", "--std", "1"), "mean = ''"),
    row("distill", "--mean 0.1", "must both be given"),
    row("distill", "--mean 0.1 --std 0", "std = 0 is not allowed"),
    row("distill", "--mean 0.1,0.2 --std 1,1", "mean = (0.1, 0.2) has 2 numbers: it must have 1"),
    row("distill", "--image-size 30", "image_size = 30 is not allowed: it must be a multiple of 4"),
    row("distill", "--image-size 32", "image_size = 32 is not that of evaluate_on, 28"),
    row("distill", "--channels 2", "unknown channels 2: known: 1, 3"),
    row("distill", "--channels 3", "channels = 3 is not that of evaluate_on, 1"),
    row("distill", "--num-classes 11", "num_classes = 11 is not that of the teacher, 10"),
    row("distill", f"--seed {2**63}", f"seed = {2**63}"),
    row("distill", "--stop-after nan", "--stop-after 'nan' is not allowed"),
    row("distill", "--stop-after 0", "--stop-after '0' is not allowed"),
    # distill: devices and places
    row("distill", "--device cuda:99", "device = 'cuda:99' is not on this machine"),
    row("distill", "--device gpu", "device = 'gpu' is not allowed: it must be cpu, cuda"),
    row("distill", ("--device", ""), "device = ''"),
    Row("distill", "--resume needs --out", words=f"distill {TINY} --resume"),
    Row("distill", "--stop-after needs --out", words=f"distill {TINY} --stop-after 1"),
    row("distill", ("--out", ""), "'' is not allowed for a path"),
    row("distill", ("--out", "{at}/a\0b"), r"a\x00b cannot be written (embedded null byte)"),
    row("distill", ("--out", "{at}/new/" + "a" * 300), "cannot be written (File name too long)"),
    row("distill", "--out {at}/mine.json", "mine.json cannot be written (Not a directory)"),
    row("distill", "--out {at}/mine.json/x/y", "mine.json/x/y cannot be written (Not a directory)"),
    row("distill", "--out {at}/project", "project holds other files"),
    row("distill", "--out {at}/stopped", "holds a run already: choose another folder, or resume it"),
    row("distill", "--out {at}/finished", "holds a run already"),
    # a teacher of one's own
    row("mine", "--teacher {at}/none.safetensors", "none.safetensors: name the file of its weights"),
    row("mine", "--teacher {at}/", "is a folder: name the file of its weights"),
    row("mine", "--teacher ./", "./ is a folder"),
    row("mine", ("--teacher", "/a\0b"), r"/a\x00b: name the file of its weights"),
    Row("mine", "mine.safetensors is missing", spoil=gone("mine.safetensors")),
    Row("mine", "mine.json is missing", spoil=gone("mine.json")),
    Row("mine", "mine.safetensors is not the teacher its card describes", spoil=flipped("mine.safetensors")),
    Row("mine", "mine.safetensors is not the teacher its card describes", spoil=cut("mine.safetensors")),
    Row("mine", "mine.json is missing or not a teacher's card", spoil=cut("mine.json")),
    Row("mine", "mine.json is missing or not a teacher's card", spoil=text("mine.json", "[]")),
    Row("mine", "mine.json is missing or not a teacher's card", spoil=text("mine.json", "[" * 100_000)),
    Row("mine", "was trained on cifar10, not on fashion-mnist", spoil=put("mine.json", "data", to="cifar10")),
    Row("mine", "unknown model 'lenet9'", spoil=put("mine.json", "model", "name", to="lenet9")),
    Row("mine", "does not hold the network of its card", spoil=put("mine.json", "model", "num_classes", to=11)),
    Row("mine", "does not hold the network of its card", spoil=put("mine.json", "model", "depth", to=3)),
    # plain weights
    row("plain", "--teacher-arch lenet", "unknown model 'lenet': did you mean 'lenet5'?"),
    row("plain", "--teacher-arch lenet5-half", "weights of lenet5-half for fashion-mnist (features.0.weight has"),
    row("plain", "--teacher-arch resnet18", "(stem.0.weight is missing; stem.1.weight is missing, and "),
    row("plain", "--data cifar10", "weights of lenet5 for cifar10 (features.0.weight has shape"),
    row("plain", ("--teacher-arch", ""), "plain.pth has no card (only .safetensors files have one): plain weights"),
    row("plain", "--teacher {at}/mine.safetensors", "mine.safetensors has a card that names its network"),
    row("plain", "--teacher lenet5", "lenet5 has a card that names its network: leave --teacher-arch out"),
    row("plain", "--teacher {at}/finished", "is a folder: name the file of its weights"),
    row("plain", "--teacher none.pt", "there is no teacher none.pt: name the file of its weights"),
    row("distill", "--teacher none.pt", "there is no teacher none.pt: name the file of its weights"),
    row("distill", "--teacher {at}/plain.pth", "are read with --teacher-arch NAME: name their architecture"),
    Row("plain", "plain.pth is damaged or not a file of weights", spoil=cut("plain.pth")),
    Row("plain", "plain.pth is damaged or not a file of weights", spoil=raw("plain.pth", b"")),
    Row("plain", "plain.pth is a folder", spoil=folder("plain.pth")),
    Row("plain", "container.Sequential, and reading it could run code", spoil=lambda at: torch.save(
        torch.nn.Sequential(), at / "plain.pth")),
    Row("plain", "plain.pth holds no state dict", spoil=lambda at: torch.save([1], at / "plain.pth")),
    # assets
    Row("distill", "dev-images-idx3-ubyte.gz is missing", spoil=gone("assets/fashion-mnist/dev-images-idx3-ubyte.gz")),
    Row("distill", "dev-images-idx3-ubyte.gz", spoil=cut("assets/fashion-mnist/dev-images-idx3-ubyte.gz")),
    Row("distill", "dev-images-idx3-ubyte.gz", spoil=flipped("assets/fashion-mnist/dev-images-idx3-ubyte.gz", 5000)),
    Row("distill", "dev-labels-idx1-ubyte.gz", spoil=flipped("assets/fashion-mnist/dev-labels-idx1-ubyte.gz", 12)),
    Row("distill", "dev-labels-idx1-ubyte.gz", spoil=raw("assets/fashion-mnist/dev-labels-idx1-ubyte.gz", b"")),
    Row("distill", "lenet5-seed0.safetensors is missing", spoil=gone(f"assets/{TEACHER}.safetensors")),
    Row("distill", "lenet5-seed0.safetensors is not the teacher", spoil=flipped(f"assets/{TEACHER}.safetensors")),
    Row("distill", "unknown teacher 'fashion-mnist lenet5 seed 0'", spoil=gone(f"assets/{TEACHER}.json")),
    # training a teacher
    row("teacher", "--epochs 0", "epochs = 0"),
    row("teacher", "--batch-size 1", "batch_size = 1"),
    row("teacher", "--model lenet", "unknown model 'lenet'"),
    row("teacher", "--data mnist", "unknown data set 'mnist': did you mean 'fashion-mnist'?"),
    row("teacher", "--seed -1", "seed = -1 is not allowed"),
    row("teacher", f"--seed {2**63}", f"seed = {2**63} is not allowed"),
    row("teacher", "--device cuda:99", "device = 'cuda:99' is not on this machine"),
    row("teacher", "--data-root {at}", "no train-images-idx3-ubyte in"),
    row("teacher", "--data-root {at}/mine.json", "no train-images-idx3-ubyte in"),
    row("teacher", ("--data-root", "a\0b"), r"no train-images-idx3-ubyte in a\x00b"),
    row("teacher", "--data cifar10 --data-root {at}", "no cifar-10-batches-py/data_batch_1 in"),
    row("teacher", "--image-size 0", "image_size = '0' is not allowed: it must be a whole number, 1 or more"),
    row("teacher", "--image-size 32", "image_size = 32 is not allowed: fashion-mnist has 28 pixels a side"),
    row("teacher", "--data svhn --data-root {at}", "no train_32x32.mat in"),
    row("teacher", "--data tiny-imagenet --data-root {at}", "tiny-imagenet: no train in"),
    row("teacher", "--out {at}/mine.json/x", "mine.json/x cannot be written (Not a directory)"),
    row("teacher", "--batch-size 17", "batch_size = 17 is not allowed: there are 16 training images"),
    row("teacher", "--stop-after 0", "--stop-after '0' is not allowed: it must be minutes"),
    row("teacher", "--recipe papr", "unknown recipe 'papr': did you mean 'paper'?"),
    row("teacher", "--recipe paper", "unknown data set of recipe paper 'fashion-mnist'"),
    row("teacher", "--augment flip", "unknown augment 'flip'"),
    row("teacher", "--schedule step", "unknown schedule 'step'"),
    Row("teacher", "holds a run already: choose another folder, or resume it", spoil=unfinished),
    Row("teacher", "config.json is missing or damaged", "--resume", spoil=unfinished),
    Row("teacher", "--out", words="teacher"),
    # a run of another description
    row("resume", "--lr 0.2", "holds a run with lr = 0.1, not 0.2"),
    row("resume", "--epochs 3", "holds a run with epochs = 2, not 3"),
    row("resume", "--seed 1", "holds a run with seed = 0, not 1"),
    row("resume", "--bn 0", "holds a run with bn = "),
    row("resume", "--regularizer hard", "holds a run with regularizer = 'log', not 'hard'"),
    row("resume", "--student lenet5", "holds a run with name = 'lenet5-half', not 'lenet5'"),
    row("resume", "--teacher-seed 1", "holds a run with teacher_sha256 = "),
    row("again", "--lr 0.2", "holds a run with lr = 0.1, not 0.2"),
    Row("resume", "checkpoint.json nor summary.json", spoil=gone("stopped/checkpoint.json")),
    Row("resume", "holds other files", spoil=gone("stopped/config.json")),
    Row("resume", "config.json is missing or damaged", spoil=cut("stopped/config.json")),
    Row("resume", "config.json is damaged (it holds no JSON object)", spoil=text("stopped/config.json", "[]")),
    Row("resume", "config.json is damaged (distill", spoil=text("stopped/config.json", "{}")),
    Row("resume", "with x = 1, not None", spoil=put("stopped/config.json", "distill", "x", to=1)),
    Row("resume", "with depth = 3, not None", spoil=put("stopped/config.json", "student", "depth", to=3)),
    Row("resume", "checkpoint.json is missing or damaged", spoil=cut("stopped/checkpoint.json")),
    Row("resume", "checkpoint.json is missing or damaged", spoil=text("stopped/checkpoint.json", "[]")),
    Row("resume", "checkpoint.json is missing or damaged", spoil=put("stopped/checkpoint.json", "file", to="../x")),
    Row("resume", "checkpoint.json is missing or damaged", spoil=put("stopped/checkpoint.json", "epoch", to=-1)),
    Row("resume", "checkpoint.json is missing or damaged", spoil=put("stopped/checkpoint.json", "epoch", to=1e999)),
    Row("resume", "metrics.jsonl is damaged (it holds 1 of 2", spoil=put("stopped/checkpoint.json", "epoch", to=2)),
    Row("resume", f"{CHECKPOINT} is missing or damaged", spoil=gone(f"stopped/{CHECKPOINT}")),
    Row("resume", f"{CHECKPOINT} is damaged (its SHA-256 differs)", spoil=cut(f"stopped/{CHECKPOINT}")),
    Row("resume", f"{CHECKPOINT} is damaged (its SHA-256 differs)", spoil=flipped(f"stopped/{CHECKPOINT}")),
    Row("resume", f"{CHECKPOINT} is damaged (its SHA-256 differs)", spoil=flipped(f"stopped/{CHECKPOINT}", 3)),
    Row("resume", "does not hold the state of this run", spoil=state(lambda t: t.pop("rng/method"))),
    Row("resume", "does not hold the state of this run", spoil=state(lambda t: t.pop("student/features.0.weight"))),
    Row(
        "resume",
        "does not hold the state of this run",
        spoil=state(lambda t: t.update({"optimizer.student/0/momentum_buffer": torch.zeros(3)})),
    ),
    Row("resume", "metrics.jsonl is damaged (it holds 0 of 1", spoil=gone("stopped/metrics.jsonl")),
    Row("resume", "metrics.jsonl is damaged (it does not hold", spoil=cut("stopped/metrics.jsonl")),
    Row("resume", "metrics.jsonl is damaged (line 1", spoil=text("stopped/metrics.jsonl", "[1]\n")),
    Row("resume", "metrics.jsonl is damaged (line 1", spoil=put("stopped/metrics.jsonl", "epoch", to=7)),
    Row("resume", "metrics.jsonl is damaged (line 1", spoil=put("stopped/metrics.jsonl", "total_seconds", to="x")),
    Row("again", "student.safetensors is damaged (its SHA-256", spoil=flipped("finished/student.safetensors")),
    Row("again", "generator.safetensors is missing", spoil=gone("finished/generator.safetensors")),
    Row("again", "checkpoint.json nor summary.json", spoil=gone("finished/summary.json")),
    Row("again", "metrics.jsonl is damaged (it holds 0 of 2", spoil=gone("finished/metrics.jsonl")),
    # evaluate
    row("evaluate", "--split trian", "unknown split 'trian': did you mean 'train'?"),
    row("evaluate", "--data mnist", "unknown data set 'mnist'"),
    row("evaluate", "--teacher x", "unknown teacher 'fashion-mnist x seed 0'"),
    row("evaluate", "--teacher-seed 9", "seed 9"),
    row("evaluate", "--teacher-seed x", "'x' is not allowed for a seed"),
    row("evaluate", "--teacher-arch lenet5", "lenet5 has a card that names its network"),
    row("evaluate", "--teacher {at}/plain.pth", "plain.pth has no card"),
    row("evaluate", "--teacher {at}/plain.pth --teacher-arch vgg11-bn", "does not hold the weights of vgg11-bn"),
    Row("evaluate", "is damaged (teacher_arch is", spoil=put("finished/experiment.json", "teacher_arch", to=5)),
    row("evaluate", "{at}/stopped", "unknown option"),
    Row("evaluate", "RUN", words="evaluate"),
    Row("evaluate", "none is no run folder", words="evaluate {at}/none"),
    Row("evaluate", "mine.json is no run folder", words="evaluate {at}/mine.json"),
    Row("evaluate", "'' is not allowed for a path", words="evaluate", add=("",)),
    Row("evaluate", r"a\x00b is no run folder", words="evaluate", add=("a\0b",)),
    Row("evaluate", "config.json is missing or damaged", spoil=raw("finished/config.json", b"\xff\xfe{")),
    Row("evaluate", "config.json is missing or damaged", spoil=text("finished/config.json", "[" * 100_000)),
    Row("evaluate", "config.json is damaged (distill", spoil=put("finished/config.json", "distill", to=[1])),
    Row("evaluate", "config.json is damaged (student", spoil=put("finished/config.json", "student", to=...)),
    Row("evaluate", "unknown option 'x'", spoil=put("finished/config.json", "distill", "x", to=1)),
    Row("evaluate", "epochs = '2'", spoil=put("finished/config.json", "distill", "epochs", to="2")),
    Row("evaluate", "unknown model 'lenet9'", spoil=put("finished/config.json", "student", "name", to="lenet9")),
    Row("evaluate", "config.json is damaged", spoil=put("finished/config.json", "student", "num_classes", to=-1)),
    Row("evaluate", "config.json is damaged", spoil=put("finished/config.json", "generator", "width", to="x")),
    Row("evaluate", "not those of the given student", spoil=put("finished/config.json", "student", "channels", to=3)),
    Row("evaluate", "is not a network of ours", spoil=put("finished/config.json", "student", to=None)),
    Row("evaluate", "(no experiment.json): name them", spoil=gone("finished/experiment.json")),
    Row("evaluate", "experiment.json is damaged", spoil=text("finished/experiment.json", "[]")),
    Row("evaluate", "experiment.json is damaged (teacher is", spoil=put("finished/experiment.json", "teacher", to=5)),
    Row("evaluate", "unknown data set 'mnist'", spoil=put("finished/experiment.json", "data", to="mnist")),
    Row("evaluate", "moved.json: name the file", spoil=put("finished/experiment.json", "teacher", to="/moved.json")),
    Row("evaluate", "summary.json is missing or damaged", spoil=cut("finished/summary.json")),
    Row("evaluate", "summary.json is damaged (sha256", spoil=text("finished/summary.json", "{}")),
    Row("evaluate", "summary.json is damaged (sha256", spoil=put("finished/summary.json", "sha256", to="x")),
    Row("evaluate", "summary.json is damaged (accuracy", spoil=put("finished/summary.json", "accuracy", to="x")),
    Row("evaluate", "metrics.jsonl is damaged (it holds 1 of 2", spoil=lambda at: shutil.copy(
        at / "stopped" / "metrics.jsonl", at / "finished" / "metrics.jsonl")),
    Row("evaluate", "metrics.jsonl is damaged", spoil=folder("finished/metrics.jsonl")),
    Row("evaluate", "student.safetensors is missing", spoil=folder("finished/student.safetensors")),
    Row("evaluate", "student.safetensors is damaged", spoil=cut("finished/student.safetensors")),
    Row("evaluate stopped", "checkpoint.json is missing or damaged", spoil=gone("stopped/checkpoint.json")),
    Row("evaluate stopped", f"{CHECKPOINT} is damaged", spoil=flipped(f"stopped/{CHECKPOINT}")),
    Row("evaluate stopped", "of which no epoch is complete", spoil=put("stopped/checkpoint.json", "epoch", to=0)),
]  # fmt: skip

NOTEBOOK, YAML = "project/notebooks/01_tiny.ipynb", "project/profiles/tiny/01.yaml"
ANALYSIS_ROWS = [
    Row("execute", "invalid choice: 'execut'", words="analysis execut"),
    Row("execute", "COMMAND", words="analysis"),
    row("execute", "-p sede 1", "unknown parameter of 01_tiny.ipynb 'sede': did you mean 'seed'?"),
    row("execute", "-p seed x", "seed = 'x' is not allowed in 01_tiny.ipynb: it must be int"),
    row("execute", "-p seed 1.5", "seed = 1.5"),
    row("execute", "-p seed true", "seed = True"),
    row("execute", "-p seed [1]", "seed = [1]"),
    row("execute", "-p seed", "-p: expected 2 arguments"),
    row("execute", ("-p", "", "1"), "unknown parameter of 01_tiny.ipynb ''"),
    row("execute", "--profile tny", "unknown profile 'tny': did you mean 'tiny'?"),
    row("execute", ("--profile", ""), "unknown profile ''"),
    row("execute", "--profile ..", "unknown profile '..'"),
    row("execute", ("--profile", "a\0"), r"unknown profile 'a\x00'"),
    row("execute", "--prof tiny", "unrecognized arguments: --prof"),
    row("execute", "-f nothing.yaml", "nothing.yaml is missing or not YAML"),
    row("execute", "-f {at}/project/bad.yaml", "bad.yaml is missing or not YAML"),
    row("execute", "-f {at}/project/bytes.yaml", "bytes.yaml is missing or not YAML"),
    row("execute", "-f {at}/project/nested.yaml", "nested.yaml is not flat"),
    row("execute", "-f {at}/mine.safetensors", "mine.safetensors is missing or not YAML"),
    Row(
        "execute",
        "mine.json cannot be written (Not a directory)",
        words=f"{BASES['execute']}".replace(" --", " {at}/mine.json/x.ipynb --"),
    ),
    Row("execute", "01_none.ipynb: the notebooks lie in", words="analysis execute {at}/01_none.ipynb --profile tiny"),
    Row("execute", "77.yaml is missing", words="analysis execute {at}/project/notebooks/77_x.ipynb --profile tiny"),
    Row("execute", "unknown profile 'tiny'", spoil=gone(YAML)),  # a folder without parameters is none
    Row("execute", "is not flat", spoil=text(YAML, "[1, 2]")),
    Row("execute", "'sede': did you mean 'seed'?", spoil=text(YAML, "sede: 1")),
    Row("execute", "seed = 'x'", spoil=text(YAML, "seed: x")),
    Row("execute", "is not a notebook that can be read", spoil=cut(NOTEBOOK)),
    Row("execute", "is not a notebook that can be read", spoil=text(NOTEBOOK, "[]")),
    Row("execute", "is not a notebook that can be read", spoil=text(NOTEBOOK, "5")),
    Row("execute", "is not a notebook that can be read", spoil=raw(NOTEBOOK, b"\xff\xfe")),
    Row("execute", "has no cell tagged 'parameters'", spoil=put(NOTEBOOK, "cells", to=[])),
    row("reproduce", "--profile tni", "unknown profile 'tni': did you mean 'tiny'?"),
    row("reproduce", "--profile ..", "unknown profile '..'"),
    row("reproduce", "extra", "unrecognized arguments: extra"),
    row("scorecard", "--profile tni", "unknown profile 'tni': did you mean 'tiny'?"),
    Row("scorecard", "no results of profile tiny yet", spoil=gone("project/out/tiny/01/result.json")),
    Row("scorecard", "result.json is damaged", spoil=cut("project/out/tiny/01/result.json")),
    Row("scorecard", "result.json is damaged", spoil=put("project/out/tiny/01/result.json", "checks", to=...)),
    Row("scorecard", "result.json is damaged", spoil=put("project/out/tiny/01/result.json", "notebook", to="02_x")),
    row("record", "--profile tni", "unknown profile 'tni': did you mean 'tiny'?"),
    Row("record", "out/tiny holds no figures", spoil=lambda at: shutil.rmtree(at / "project/out/tiny/01")),
    Row("record", "which names the figures of the gallery", spoil=gone("project/figures/README.md")),
    row("record", "--profile ..", "unknown profile '..'"),
]  # fmt: skip


def numeric(kind: type) -> list[str]:
    fields = ((name, str(field.annotation)) for name, field in kind.model_fields.items())
    return [name for name, type_ in fields if re.search(r"\b(int|float)\b", type_)]


NUMBERS = [
    (base, name)
    for base, kind in (
        ("distill", DistillConfig),
        ("distill", Curriculum),
        ("distill", methods.get("cudfkd").Options),
        ("teacher", Recipe),
    )
    for name in numeric(kind)
]
UNBOUNDED = {"mean"}  # may be negative
NUMBER_ROWS = [
    row(base, f"--{name.replace('_', '-')} {value}" + (" --std 1" if name == "mean" else ""), f"{name} = ")
    for base, name in NUMBERS
    for value in ("nan", "inf", "-1", "much")
    if not (name in UNBOUNDED and value == "-1")
]
ROWS = COMMAND_ROWS + ANALYSIS_ROWS + NUMBER_ROWS


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """The folder of which every row gets a copy."""
    at = tmp_path_factory.mktemp("world")
    assert cudfkd.cli.main(f"distill {TINY} --out {at}/finished".split()) == 0
    assert cudfkd.cli.main(f"distill {TINY} --out {at}/stopped --stop-after 1e-9".split()) == 0
    for suffix in (".json", ".safetensors"):
        shutil.copy(data.ASSETS / f"{TEACHER}{suffix}", at / f"mine{suffix}")
    torch.save(load_file(at / "mine.safetensors"), at / "plain.pth")
    project(at / "project")
    return at


def project(at: Path) -> None:
    """A notebook with its profile and its result."""
    (at / "profiles" / "tiny").mkdir(parents=True)
    (at / "profiles" / "tiny" / "01.yaml").write_text("seed: 3\n")
    (at / "nested.yaml").write_text("a:\n  b: 1\n")
    (at / "bad.yaml").write_text("a: [")
    (at / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (at / "notebooks").mkdir()
    cells = [nbformat.v4.new_code_cell("seed: int = 0  # of nothing", metadata={"tags": ["parameters"]}, id="a")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), at / "notebooks" / "01_tiny.ipynb")
    (at / "figures").mkdir()
    (at / "figures" / "README.md").write_text("![A line rises.](01/line.png)\n")
    (at / "out" / "tiny" / "01").mkdir(parents=True)
    for kind in (".pdf", ".json"):
        (at / "out" / "tiny" / "01" / f"line{kind}").touch()
    Image.new("RGB", (4, 4)).save(at / "out" / "tiny" / "01" / "line.png", dpi=(72, 72))
    (at / "out" / "tiny" / "01" / "result.json").write_text(json.dumps({
        "notebook": "01_tiny", "profile": "tiny", "parameters": {"seed": 3}, "metrics": {}, "checks": [],
        "findings": {"told": True}, "commit": "none", "code": "none", "seconds": 1.0,
    }))  # fmt: skip


@pytest.fixture
def at(world, tmp_path, monkeypatch) -> Path:
    """A copy of the world, with the assets by reference; the project and all training images are those in it."""
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(origin, "ROOT", tmp_path / "project")
    monkeypatch.setattr(reproduce, "OUT", tmp_path / "project" / "out")
    for module in (parameters, results):
        monkeypatch.setattr(module, "PROFILES", tmp_path / "project" / "profiles")
    for module in (parameters, reproduce):
        monkeypatch.setattr(module, "NOTEBOOKS", tmp_path / "project" / "notebooks")
    real = data.load

    def load(name, split, data_root=None, image_size=None):
        few = name == "fashion-mnist" and data_root is None
        if not few or split not in ("train", "test"):
            return real(name, split, data_root, image_size)
        return data.ImageSet(torch.zeros(16, 1, 28, 28, dtype=torch.uint8), torch.arange(16) % 10)

    monkeypatch.setattr(data, "load", load)
    return tmp_path


def own_assets(at: Path, monkeypatch) -> None:
    """Replaces the package's assets by a copy that tests may damage."""
    shutil.copytree(data.ASSETS, at / "assets", ignore=shutil.ignore_patterns("t10k*"))
    monkeypatch.setattr(data, "ASSETS", at / "assets")
    monkeypatch.setattr(fashion_mnist, "ASSETS", at / "assets")


def listing(at: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(at)): path.read_bytes() if path.is_file() else None for path in at.rglob("*")}


def run(words: list[str]) -> int:
    return analysis.__main__.main(words[1:]) if words[:1] == ["analysis"] else cudfkd.cli.main(words)


def refused(words: list[str], capsys) -> str:
    """Runs a command that must be refused; returns its line."""
    capsys.readouterr()
    assert run(words) == 2
    line = capsys.readouterr().err
    assert line.startswith("analysis: " if words[:1] == ["analysis"] else "cudfkd: ")
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    return line


@pytest.mark.parametrize("base", BASES)
def test_the_base_works(base, at, monkeypatch):
    own_assets(at, monkeypatch)
    assert run(Row(base, "").command(at)) == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_one_spoiled_thing_is_one_line(row, at, capsys, monkeypatch):
    if row.spoil:
        own_assets(at, monkeypatch)
        row.spoil(at)
    before = listing(at)
    assert row.told in refused(row.command(at), capsys)
    assert listing(at) == before


def test_there_are_rows_enough_and_no_two_alike():
    alike = {(r.base, r.words, r.add, r.told, r.spoil) for r in ROWS}
    assert len(alike) == len(ROWS) >= 250


# The disk


@pytest.fixture
def mounted(at):
    """Mounts small file systems, and takes them off again."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root on Linux")
    places = []

    def mount(options: str) -> Path:
        place = at / f"disk{len(places)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("command", ["distill", "teacher"])
def test_a_disk_that_is_too_small(command, at, mounted, capsys):
    disk = mounted("size=64k")
    line = refused([*Row(command, "").command(at), "--out", f"{disk}/new/run"], capsys)
    assert "cannot be written (No space left on device): choose another folder or make room" in line
    if command == "distill":
        assert listing(disk) == {}


@pytest.mark.parametrize("command", ["distill", "teacher"])
def test_a_disk_that_may_not_be_written(command, at, mounted, capsys):
    disk = mounted("size=64k,ro")
    line = refused([*Row(command, "").command(at), "--out", f"{disk}/run"], capsys)
    assert f"{disk}/run cannot be written (Read-only file system): choose another folder" in line


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(at, mounted, capsys):
    disk = mounted("size=4m")
    shutil.copytree(at / "stopped", disk / "stopped")
    (disk / "ballast").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096))
    before = listing(disk / "stopped")
    resume = f"distill {TINY} --out {disk}/stopped --resume".split()
    assert "cannot be written (No space left on device)" in refused(resume, capsys)
    assert listing(disk / "stopped") == before
    (disk / "ballast").unlink()
    assert run(resume) == 0
    assert run(f"distill {TINY} --out {at}/stopped --resume".split()) == 0
    assert (disk / "stopped" / "student.safetensors").read_bytes() == (at / "stopped/student.safetensors").read_bytes()


def test_a_folder_without_permission(at, capsys):
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("permissions hold nobody back here: the read-only disk stands for them")
    (at / "closed").mkdir(mode=0o500)
    line = refused([*Row("distill", "").command(at), "--out", f"{at}/closed/run"], capsys)
    assert "closed/run cannot be written (Permission denied)" in line


def test_a_folder_that_another_process_writes(at, capsys):
    lock = at / "stopped" / ".lock"
    code = f"from filelock import FileLock\nwith FileLock({str(lock)!r}): print('held', flush=True), input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        before = listing(at)
        assert "stopped is being written by another process" in refused(Row("resume", "").command(at), capsys)
        assert listing(at) == before
    finally:
        other.communicate("\n")
    assert run(Row("resume", "").command(at)) == 0


def test_a_run_on_a_device_of_another_machine_is_evaluated_here(at, monkeypatch):
    put("finished/config.json", "distill", "device", to="cuda:7")(at)
    assert run(Row("evaluate", "").command(at)) == 0


def test_a_teacher_that_moved_can_be_named(at):
    put("finished/experiment.json", "teacher", to="/moved.safetensors")(at)
    assert run([*Row("evaluate", "").command(at), "--teacher", f"{at}/mine.safetensors"]) == 0
    (at / "v1.5").mkdir()
    for suffix in (".json", ".safetensors"):
        (at / f"mine{suffix}").rename(at / "v1.5" / f"best.of.3{suffix}")
    assert run([*Row("evaluate", "").command(at), "--teacher", f"{at}/v1.5/best.of.3.safetensors"]) == 0
