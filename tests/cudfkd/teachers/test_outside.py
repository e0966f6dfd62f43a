"""Teachers from outside: plain weights of a known architecture, whatever file holds them, and nothing else."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cudfkd import ConfigError, DataError, Experiment, data, models, teachers
from cudfkd.boundary.weights import plain_state
from cudfkd.teachers import from_weights, outside

ALLOWED = (
    "plain weights (.safetensors, .pt, .pth, .bin, .ckpt) are read with --teacher-arch NAME: name their architecture"
)


def network(seed: int = 5, arch: str = "lenet5", **shape) -> nn.Module:
    return models.build(arch, seed=seed, **shape)


def write(weights: dict[str, torch.Tensor], file: Path | str) -> None:
    save_file({name: value.contiguous() for name, value in weights.items()}, file)


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(map(torch.equal, states[0].values(), states[1].values()))


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in network().state_dict().items()}


def without_counters() -> dict[str, torch.Tensor]:
    return {name: value for name, value in network().state_dict().items() if "num_batches" not in name}


CONTENTS = {
    "plain": lambda: network().state_dict(),
    "compiled": lambda: torch.compile(network()).state_dict(),
    "parallel": lambda: nn.DataParallel(torch.compile(network())).state_dict(),
    "Lightning": lambda: {"state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}},
    "within within": lambda: {"model": prefixed("module.backbone.net.")},
    "double": lambda: network().double().state_dict(),
    "without counters": without_counters,
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", ["w.pt", "w.ckpt", "w.safetensors"])
def test_weights_become_a_teacher(content, name, tmp_path):
    held = CONTENTS[content]()
    if name.endswith(".safetensors"):
        write(held.get("state_dict") or held.get("model") or held, tmp_path / name)
    else:
        torch.save(held, tmp_path / name)
    teacher = from_weights(tmp_path / name, "lenet5", "fashion-mnist")
    assert same(teacher, network())
    assert not any(module.training for module in teacher.modules())
    assert {value.dtype for value in teacher.state_dict().values()} <= {torch.float32, torch.int64}
    assert models.spec_of(teacher) == models.spec_of(network())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(dtype, tmp_path):
    torch.save(network().to(dtype).state_dict(), tmp_path / "w.pt")
    teacher = from_weights(tmp_path / "w.pt", "lenet5", "fashion-mnist")
    assert same(teacher, network().to(dtype).float())


def test_a_student_of_a_run_can_be_a_teacher(tmp_path):
    write(plain_state(network(arch="wrn-16-1", channels=3, image_size=32)), tmp_path / "student.safetensors")
    teacher = from_weights(tmp_path / "student.safetensors", "wrn-16-1", "cifar10")
    assert teacher(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arch", "dataset", "told"),
    [
        ("lenet5-half", "fashion-mnist", "features.0.weight has shape (6, 1, 5, 5), not (3, 1, 5, 5); features.1"),
        ("resnet18", "fashion-mnist", "stem.0.weight is missing; stem.1.weight is missing, and "),
        ("lenet5", "cifar10", "(features.0.weight has shape (6, 1, 5, 5), not (6, 3, 5, 5); features.8"),
        ("lenet", "fashion-mnist", "unknown model 'lenet': did you mean 'lenet5'?"),
        ("lenet5", "mnist", "unknown data set 'mnist'"),
    ],
)
def test_another_network_is_one_line(arch, dataset, told, tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ConfigError) as error:
        from_weights(tmp_path / "w.pt", arch, dataset)
    assert told in str(error.value)


def test_another_number_of_classes_is_told_by_the_last_layer(tmp_path):
    shape = {"channels": 3, "image_size": 32, "arch": "wrn-16-1"}
    torch.save(network(num_classes=100, **shape).state_dict(), tmp_path / "w.pt")
    told = (
        r"weight has shape \(100, 64\), not \(10, 64\); .*bias has shape \(100,\), not \(10,\)\): name the architecture"
    )
    with pytest.raises(ConfigError, match=told):
        from_weights(tmp_path / "w.pt", "wrn-16-1", "cifar10")
    assert from_weights(tmp_path / "w.pt", "wrn-16-1", "cifar100")


def test_a_weight_too_many_or_too_few_is_named(tmp_path):
    torch.save(network().state_dict() | {"extra.weight": torch.zeros(2)}, tmp_path / "more.pt")
    first, *others = network().state_dict().items()
    torch.save(dict(others), tmp_path / "fewer.pt")
    for name, told in (("more.pt", r"\(extra.weight is not part of it\)"), ("fewer.pt", rf"\({first[0]} is missing\)")):
        with pytest.raises(ConfigError, match=told):
            from_weights(tmp_path / name, "lenet5", "fashion-mnist")


# Which file


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working folder, with a file of weights."""
    monkeypatch.chdir(tmp_path)
    torch.save(network().state_dict(), "plain.pth")
    return tmp_path


def line(kind: type[Exception], **names) -> str:
    with pytest.raises(kind) as error:
        Experiment(**names)
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_file_without_a_card_says_what_is_to_be_named(here):
    write(network().state_dict(), "w.safetensors")
    (here / "bare").write_bytes((here / "plain.pth").read_bytes())
    for name in ("plain.pth", "./plain.pth", "bare", str(here / "plain.pth")):
        told = f"{Path(name)} has no card (only .safetensors files have one): {ALLOWED}"
        assert line(DataError, teacher=name) == told
    for name in ("w.safetensors", "./w", "w.json"):
        assert line(DataError, teacher=name) == f"w.safetensors has no card (w.json is missing): {ALLOWED}"


@pytest.mark.parametrize(
    "name",
    ["none.pt", ".json", "./.safetensors", "./none", "none.safetensors", "~/none.pt", "~nobody-here/x.pt", "/a\0b"],
)
@pytest.mark.parametrize("arch", ["", "lenet5"])
@pytest.mark.usefixtures("here")
def test_a_file_that_is_not_there_is_told(name, arch, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    told = line(ConfigError, teacher=name, teacher_arch=arch)
    assert told.replace("\\x00", "\0") == f"there is no teacher {name}: name the file of its weights"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_no_file_of_weights(here):
    os.mkfifo(here / "pipe.pt")
    assert line(ConfigError, teacher="pipe.pt", teacher_arch="lenet5").startswith("there is no teacher pipe.pt")


@pytest.mark.parametrize("name", ["./", "/", "folder.pt"])
@pytest.mark.parametrize("arch", ["", "lenet5"])
def test_a_folder_is_told(name, arch, here):
    (here / "folder.pt").mkdir()
    told = line(ConfigError, teacher=name, teacher_arch=arch)
    assert told == f"the teacher {name} is a folder: name the file of its weights"


def test_a_teacher_with_a_card_needs_no_architecture(here):
    stem = data.ASSETS / "fashion-mnist" / "lenet5-seed0"
    for name in ("lenet5", f"{stem}.safetensors", f"{stem}.json"):
        told = line(ConfigError, teacher=name, teacher_arch="lenet5")
        assert told.endswith(f"{name} has a card that names its network: leave --teacher-arch out")
    (here / "plain.json").write_text("{}")  # the options of somebody's training are no card
    write(network().state_dict(), here / "plain.safetensors")
    assert Experiment(teacher="plain.pth", teacher_arch="lenet5")
    assert Experiment(teacher="plain.safetensors", teacher_arch="lenet5")


def test_a_file_with_the_name_of_a_teacher_that_ships_hides_it_from_nobody(here):
    (here / "lenet5").write_bytes((here / "plain.pth").read_bytes())
    assert Experiment().teacher_card()["seed"] == 0


def test_the_home_folder_may_be_named(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert same(from_weights("~/plain.pth", "lenet5", "fashion-mnist"), network())


def test_a_closed_folder_is_told(here, monkeypatch):
    original = Path.stat

    def stat(self, **how):
        if self.name == "closed.pt":
            raise PermissionError(13, "Permission denied")
        return original(self, **how)

    monkeypatch.setattr(Path, "stat", stat)
    for arch in ("", "lenet5"):
        told = line(DataError, teacher=f"{here}/closed.pt", teacher_arch=arch)
        assert (
            told == f"{here}/closed.pt cannot be read (Permission denied): mend its permissions, or name another file"
        )


# Experiments


def test_the_key_belongs_to_the_weights_and_not_to_the_file(here):
    (here / "sub").mkdir()
    torch.save({"model": prefixed("_orig_mod.")}, here / "sub" / "other.ckpt")
    keys = {
        Experiment(teacher=name, teacher_arch="lenet5").key for name in ("plain.pth", "./plain.pth", "sub/other.ckpt")
    }
    assert len(keys) == 1
    torch.save(network(seed=6).state_dict(), here / "plain.pth")
    os.utime(here / "plain.pth", ns=(0, 0))
    assert Experiment(teacher="plain.pth", teacher_arch="lenet5").key not in keys | {Experiment().key}


def test_a_file_is_read_once_for_all_runs_of_a_grid(here, monkeypatch):
    read, times = outside.read, []
    monkeypatch.setattr(outside, "read", lambda *names: times.append(1) or read(*names))
    torch.save(network(seed=7).state_dict(), here / "plain.pth")
    assert len({Experiment(teacher="plain.pth", teacher_arch="lenet5").key for _ in range(3)}) == len(times) == 1


@pytest.mark.usefixtures("here")
def test_an_experiment_says_its_architecture_only_where_it_has_one():
    plain = Experiment(teacher="plain.pth", teacher_arch="lenet5")
    assert Experiment(**plain.model_dump()) == Experiment.model_validate_json(plain.model_dump_json()) == plain
    assert plain.model_dump()["teacher_arch"] == "lenet5"
    assert "teacher_arch" not in Experiment().model_dump()


@pytest.mark.usefixtures("here")
def test_a_named_teacher_is_any_teacher():
    assert same(teachers.named("fashion-mnist", "lenet5", 1), teachers.load_teacher("fashion-mnist", "lenet5", 1))
    assert same(teachers.named("fashion-mnist", "plain.pth", 0, "lenet5"), network())
