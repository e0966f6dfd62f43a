"""Run folders of wrapped networks: the wrapper leaves no trace in the files, and none is needed to read them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import cudfkd
from cudfkd import ConfigError
from cudfkd.base.randomness import CPU, Randomness
from cudfkd.runs import checkpoint, folder
from cudfkd.runs.checkpoint import State
from tests.cudfkd.boundary.test_weights import WRAPPERS, compiled
from tests.cudfkd.engine.test_loop import config, networks, same
from tests.cudfkd.engine.test_runs import StopAfter


def distill(student: nn.Module, at: Path | None, **arguments) -> cudfkd.engine.run.Run:
    return cudfkd.distill(networks()[0], student, config(epochs=2), run_dir=at, **arguments)


def test_a_compiled_student_is_loaded_into_a_plain_one(tmp_path):
    run = distill(compiled(networks()[1]), tmp_path / "run")
    assert load_file(tmp_path / "run" / "student.safetensors").keys() == networks()[1].state_dict().keys()
    for student in (None, networks()[1], compiled(networks()[1]), nn.DataParallel(networks()[1])):
        assert same(cudfkd.load_run(tmp_path / "run", student).student, run.student)


@pytest.mark.parametrize("first", ["plain", "compiled", "compiled part"])
@pytest.mark.parametrize("then", ["plain", "compiled", "compiled part"])
def test_a_run_goes_on_with_another_wrapper(first, then, tmp_path):
    """The backend of these wrappers computes as the plain network does, to the bit."""
    whole = distill(networks()[1], None)
    with pytest.raises(KeyboardInterrupt):
        distill(WRAPPERS[first](networks()[1]), tmp_path / "run", callbacks=[StopAfter(1)])
    run = distill(WRAPPERS[then](networks()[1]), tmp_path / "run", resume=True)
    assert len(run.rows) == 2
    assert same(run.student, whole.student)


def test_a_wrapped_teacher_is_the_teacher_of_the_run(tmp_path):
    def run(wrapper, **arguments) -> nn.Module:
        teacher, student = networks()
        at = tmp_path / "run"
        cudfkd.distill(wrapper(nn.Sequential(teacher)), student, config(epochs=2), run_dir=at, **arguments)
        return student

    with pytest.raises(KeyboardInterrupt):
        run(nn.DataParallel, callbacks=[StopAfter(1)])
    assert same(run(WRAPPERS["plain"], resume=True), distill(networks()[1], None).student)


def test_files_with_the_names_of_wrappers_are_still_read(tmp_path):
    """Earlier states of the library wrote these names."""
    run = distill(networks()[1], tmp_path / "run")
    file = tmp_path / "run" / "student.safetensors"
    save_file({f"_orig_mod.{name}": value for name, value in load_file(file).items()}, file)
    digest = folder.sha256(file.read_bytes()).hexdigest()
    summary = folder.read_summary(tmp_path / "run")
    folder.write_json(tmp_path / "run" / "summary.json", summary | {"sha256": summary["sha256"] | {"student": digest}})
    assert same(cudfkd.load_run(tmp_path / "run").student, run.student)
    with pytest.raises(ConfigError, match="not those of the given student"):
        cudfkd.load_run(tmp_path / "run", nn.DataParallel(nn.Linear(3, 3)))


@pytest.mark.parametrize("then", WRAPPERS)
@pytest.mark.parametrize("first", WRAPPERS)
def test_a_checkpoint_goes_from_any_wrapper_to_any_other(first, then, tmp_path):
    def state(wrapper: str) -> State:
        network = WRAPPERS[wrapper](nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))))
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        sum(p.sum() for p in network.parameters()).backward()
        optimizer.step()
        return State({"student": network}, {"student": optimizer}, torch.Generator(), Randomness(0, CPU))

    written, read = state(first), state(then)
    written.save(tmp_path, 1, 0)
    assert "student/1.0.weight" in checkpoint.read(tmp_path)[0]
    assert not same(written.modules["student"], read.modules["student"])
    read.load(tmp_path)
    assert same(written.modules["student"], read.modules["student"])


def test_tied_weights_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(256, 10), nn.Linear(256, 10)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(x.flatten(1)) + self.second(x.flatten(1))

    run = distill(compiled(Tied()), tmp_path / "run")
    loaded = cudfkd.load_run(tmp_path / "run", Tied()).student
    assert same(loaded, run.student)
    assert loaded.first.weight is loaded.second.weight
