"""Devices: a missing or too old device is refused in one line; a device has one name. The tests imitate GPUs."""

import pytest
import torch

import cudfkd
from cudfkd import ConfigError, DistillConfig
from cudfkd.base.devices import check, located
from tests.cudfkd.engine.test_loop import config, networks


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU, of the compute capability that is set."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90", "sm_100a", "compute_120"])
    return lambda *has: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: has)


def test_a_gpu_that_torch_was_built_for_is_taken(gpu):
    for has in ((7, 5), (8, 6), (9, 0), (12, 0)):
        gpu(*has)
        assert check("cuda:0") == torch.device("cuda:0")


def test_an_older_gpu_is_refused_before_anything_runs(gpu):
    gpu(6, 1)
    with pytest.raises(ConfigError, match=r"^device = 'cuda' is too old .* capability 6.1, and 7.5 is the least: "):
        DistillConfig(device="cuda")


def test_a_driver_that_is_too_old_is_told_from_no_gpu(monkeypatch):
    def fail(reason):
        def init():
            raise RuntimeError(reason)

        return init

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "init", fail("The NVIDIA driver on your system is too old (found version 1)."))
    with pytest.raises(ConfigError, match=r"cannot be used, the driver is too old for this torch: update the driver, "):
        check("cuda")
    monkeypatch.setattr(torch.cuda, "init", fail("Found no NVIDIA driver on your system."))
    with pytest.raises(ConfigError, match=r"it has 0 of type cuda; use cpu$"):
        check("cuda")


def test_a_run_of_elsewhere_may_name_any_device():
    assert check("cuda:7", elsewhere=True) == torch.device("cuda:7")


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "meta", "meta:0", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_is_written_as_that_of_its_tensors(name):
    assert located(name) == torch.zeros(1, device=name).device


def test_networks_that_are_there_already_are_not_moved_in_a_round(monkeypatch):
    """This holds for every spelling of the device; with a GPU it also holds for cuda without a number."""
    moved, to = [], torch.nn.Module.to
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *how: moved.append(module) or to(module, *how))

    def moves(rounds):
        teacher, student = networks()
        cudfkd.distill(teacher, student, config(device="cpu:0", steps_per_epoch=2 * rounds))
        return moved.count(teacher), moved.count(student)

    assert moves(rounds=1) == moves(rounds=3) == (0, 1 + 2 * 2)  # there, and for the look at each epoch's end
