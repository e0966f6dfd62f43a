"""The benchmark times what it says, in turn, and keeps what was measured before."""

import os
import sys
import warnings

import pytest
import torch

from benchmarks import ceiling, loops, throughput
from benchmarks.loops import LOOPS, PAIRS, Setting
from benchmarks.scaling import counts, scaling
from cudfkd.base.files import read_json, write_json

LENET = Setting("lenet5", batch_size=8)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_gives_the_seconds_of_each_epoch(name):
    seconds = LOOPS[name](LENET, 1, 3)
    assert len(seconds) == 3
    assert min(seconds) > 0


def test_the_reference_is_timed_in_float32_whatever_the_precision():
    setting = Setting("lenet5", precision="bfloat16", batch_size=8)
    assert len(LOOPS["reference"](setting, 1, 1)) == 1  # it refuses another
    assert setting.config(1, precision=setting.precision).precision == "bfloat16"


@pytest.mark.parametrize("pair", PAIRS)
def test_networks_and_configs_of_a_pair_fit_together(pair):
    setting = Setting(pair)
    c = setting.config(3)
    assert c.steps_per_epoch == 3 * setting.round_steps
    x = torch.rand(2, c.channels, c.image_size, c.image_size)
    assert [network(x).shape for network in setting.networks()] == [(2, 10), (2, 10)]


def fake(calls: list[str], name: str, seconds: list[float]):
    def loop(setting: Setting, rounds: int, epochs: int) -> list[float]:
        calls.append(name)
        return seconds[:epochs]

    return loop


@pytest.fixture
def together(monkeypatch):
    """Runs here what would be run in a process of its own; the functions it was asked for."""
    asked = []

    def here(function, *arguments):
        asked.append(function)
        return function(*arguments)

    monkeypatch.setattr(loops, "alone", here)
    return asked


def test_loops_run_to_and_fro_and_the_first_epoch_does_not_count(monkeypatch, together):
    calls = []
    made = {"engine": fake(calls, "engine", [9.0, 1.0, 1.0]), "reference": fake(calls, "reference", [9.0, 2.0, 6.0])}
    monkeypatch.setattr(loops, "LOOPS", made)
    rates = loops.in_turn(LENET, ["engine", "reference"], 5, 3, 3)
    assert calls == ["engine", "reference", "reference", "engine", "engine", "reference"]
    assert rates == {"engine": [10.0] * 3, "reference": [2.5] * 3}  # rounds of 2 steps
    assert together == [made[name] for name in calls]


def test_what_runs_alone_has_a_process_of_its_own():
    assert len({os.getpid(), loops.alone(os.getpid), loops.alone(os.getpid)}) == 3


def test_a_ratio_is_of_each_repeat():
    found = loops.ratios({"engine": [4.0, 9.0, 4.0], "x": [2.0, 3.0, 4.0]}, "x")
    assert found == {"median": 2.0, "lowest": 1.0, "highest": 3.0, "n": 3}


def test_rounds_fill_the_seconds_asked_for(monkeypatch):
    monkeypatch.setattr(loops, "engine", lambda setting, rounds, epochs: [9.0, 0.25])
    assert loops.rounds_of(LENET, 2.0) == 8
    assert loops.rounds_of(LENET, 0.01) == 1


def test_the_engine_computes_what_the_reference_does_without_its_idle_gradients():
    counts = {name: loops.flops(LENET, name) for name in LOOPS}
    width, side, batch = 8, 7, LENET.batch_size  # of the defaults: 4 w -> 2 w -> w channels at 7 and at 14 pixels
    spared = sum(
        (4 * 9 - 16) * inputs * inputs // 2 * size**2 for inputs, size in ((4 * width, side), (2 * width, 2 * side))
    )
    passes = 1 + 3 / LENET.round_steps  # a student batch, and its share of a generator step: forward, two gradients
    assert counts["reference, frozen"] - counts["engine"] == 2 * spared * passes * batch
    assert counts["reference, frozen"] < counts["reference"]
    assert loops.flops(Setting("lenet5", batch_size=64), "engine") == 8 * counts["engine"]


def test_a_timed_loop_tells_what_it_warned_of(monkeypatch):
    def loop(setting, rounds):
        warnings.warn("torch.compile failed", stacklevel=1)
        return [9.0, 1.0, 2.0]

    monkeypatch.setattr(loops, "LOOPS", {"engine": loop, "reference": lambda setting, rounds: [9.0, 1.0]})
    found = loops.timed(LENET, "engine", 5)
    assert found["steps_per_second"] == [10.0, 5.0]
    assert found["warnings"] == ["torch.compile failed"]
    assert "warnings" not in loops.timed(LENET, "reference", 5)


def test_memory_is_measured_in_a_process_of_its_own():
    ballast = torch.ones(400_000_000, dtype=torch.uint8)  # of this process, which must not count
    mb = loops.memory(LENET, "reference")
    del ballast
    assert 0 < mb["before"] < mb["peak"]


def test_ranks_share_the_batch_of_a_run():
    assert counts("cpu")[0] == 1
    found = scaling(LENET, 1, [1, 2])
    assert list(found) == ["1", "2"]
    assert min(found.values()) > 0


def test_ceilings_are_positive_and_named(monkeypatch):
    monkeypatch.setattr(ceiling, "RUNS", 1)
    found = ceiling.ceilings(torch.device("cpu"), torch.float32)
    assert list(found) == ["matmul", "convolution, NCHW", "convolution, channels_last"]
    assert min(found.values()) > 0


def test_bandwidths_are_positive_and_named(monkeypatch):
    monkeypatch.setattr(ceiling, "RUNS", 1)
    found = ceiling.bandwidths(torch.device("cpu"))
    assert list(found) == ["in a cache", "in memory"]
    assert min(found.values()) > 0


def test_what_is_done_once_a_run_is_not_counted(monkeypatch):
    x = torch.rand(10)

    def loop(_: Setting, rounds: int, epochs: int) -> None:
        torch.rand(1000) @ torch.rand(1000)
        for _ in range(rounds * epochs):
            x.exp()

    monkeypatch.setattr(loops, "LOOPS", {"loop": loop})
    each = {"kernels": 1 / LENET.round_steps, "bytes": 80 / LENET.round_steps}
    assert loops.moved(LENET, "loop") == {"products": {"kernels": 0, "bytes": 0}, "others": each}
    assert loops.flops(LENET, "loop") == 0


def test_the_engine_moves_less_than_the_reference():
    engine, reference = (loops.moved(LENET, name) for name in ("engine", "reference"))
    for kind in ("products", "others"):
        assert 0 < engine[kind]["bytes"] < reference[kind]["bytes"]
        assert 0 < engine[kind]["kernels"] < reference[kind]["kernels"]


def test_parts_are_merged_and_say_what_they_were_measured_with():
    measured = {"elsewhere": {"lenet5": {"flops": 1}}}
    throughput.put(measured, LENET, "memory", {"mb": 1})
    throughput.put(measured, LENET, "flops", {"per_step": 2})
    here = measured[throughput.where(LENET)]["lenet5"]
    assert here["memory"] == {"mb": 1, "torch": torch.__version__, "tf32": True, "commit": here["flops"]["commit"]}
    assert measured["elsewhere"] == {"lenet5": {"flops": 1}}
    assert "achieved" not in here


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["throughput.py", *arguments])
    return throughput.main()


def test_the_command_adds_a_part_to_the_file_and_draws_it(monkeypatch, together, tmp_path, capsys):
    out = tmp_path / "speed.json"
    write_json(out, {"elsewhere": {}})
    quick = ("--pairs", "lenet5", "--seconds", "0.001", "--repeats", "1", "--out", str(out))
    assert command(monkeypatch, "--parts", "speed", *quick) == 0
    assert command(monkeypatch, "--parts", "batches", "--batch-sizes", "4", "8", *quick) == 0
    measured = read_json(out)
    assert set(measured) == {"elsewhere", throughput.where(LENET)}
    here = measured[throughput.where(LENET)]["lenet5"]
    assert {name: len(rates) for name, rates in here["speed"]["steps_per_second"].items()} == dict.fromkeys(LOOPS, 1)
    assert set(here["batches"]["by_size"]) == {"4", "8"}
    assert out.with_suffix(".png").stat().st_size > 1000
    assert "times as fast as the loop 'reference, frozen'" in capsys.readouterr().out


def test_what_cannot_be_measured_is_refused_in_a_line(monkeypatch, tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert command(monkeypatch, "--device", "cuda:99", "--out", str(out)) == 2
    assert capsys.readouterr().err.startswith("throughput.py: device = 'cuda:99' is not on this machine")
    with pytest.raises(SystemExit):
        command(monkeypatch, "--repeats", "0", "--out", str(out))
    assert "0 is not allowed" in capsys.readouterr().err
    assert not out.exists()
