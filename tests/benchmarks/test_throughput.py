"""The benchmark times what it says, in turn, and keeps what was measured before."""

import os
import sys
import warnings

import pytest
import torch

from benchmarks import loops, throughput
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
    """Calls in this process the functions that would have a process of their own; the calls, without the setting."""
    calls = []

    def here(function, setting, *arguments):
        calls.append((function, *arguments))
        return function(setting, *arguments)

    monkeypatch.setattr(loops, "alone", here)
    return calls


def test_loops_run_to_and_fro_and_the_first_epoch_does_not_count(monkeypatch, together):
    calls = []
    fakes = {"engine": fake(calls, "engine", [9.0, 1.0, 1.0]), "reference": fake(calls, "reference", [9.0, 2.0, 6.0])}
    monkeypatch.setattr(loops, "LOOPS", fakes)
    times = loops.in_turn(LENET, ["engine", "reference"], 5, 3, 3)
    assert calls == ["engine", "reference", "reference", "engine", "engine", "reference"]
    assert times["steps_per_second"] == {"engine": [10.0] * 3, "reference": [2.5] * 3}  # rounds of 2 steps
    assert times["engine_over"] == {"reference": {"median": 4.0, "lowest": 4.0, "highest": 4.0, "n": 3}}
    assert "warnings" not in times
    assert together == [(loops.timed, name, 5, 3) for name in calls]


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
    monkeypatch.setattr(loops, "LOOPS", {"engine": warning, "reference": fake([], "reference", [9.0, 1.0])})
    found = loops.timed(LENET, "engine", 5)
    assert found["steps_per_second"] == [10.0, 5.0]
    assert found["warnings"] == ["torch.compile failed"]
    assert "warnings" not in loops.timed(LENET, "reference", 5)


def warning(setting: Setting, rounds: int, epochs: int) -> list[float]:
    """A loop that warns."""
    warnings.warn("torch.compile failed", stacklevel=1)
    return [9.0, 1.0, 2.0]


def test_warnings_of_loops_that_run_in_turn_are_results_of_the_part(monkeypatch, together):
    monkeypatch.setattr(loops, "engine", lambda setting, rounds, epochs: [9.0, 1.0])
    monkeypatch.setattr(loops, "LOOPS", {"engine": warning, "reference": fake([], "reference", [9.0, 1.0])})
    plan = throughput.Plan(LENET, ("engine", "reference"), 1.0, 2, (4,))
    assert throughput.speed(plan, 9.0)["warnings"] == ["torch.compile failed"]
    batches = throughput.batches(plan, 9.0)
    assert batches["warnings"] == ["torch.compile failed"]
    assert batches["by_size"]["4"].keys() == {"steps_per_second", "engine_over"}


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


def test_a_part_is_measured_again_and_the_shares_follow_once_all_are_there(monkeypatch, tmp_path):
    rate, out = iter([1.0, 2.0]), tmp_path / "speed.json"
    one = {"products": {"bytes": 0.0}, "others": {"bytes": 1e9}}
    fakes = {
        "speed": lambda plan, minutes: {"steps_per_second": {"engine": [next(rate)]}, "engine_over": {}},
        "ceiling": lambda *_: {"gflops": {"float32": {"matmul": 8.0}}, "gb_per_second": {"in memory": 4.0}},
        "flops": lambda *_: {"per_step": {"engine": 2e9}},
        "traffic": lambda *_: {"per_step": {"engine": one}},
    }
    monkeypatch.setattr(throughput, "PARTS", {name: throughput.Part(part) for name, part in fakes.items()})
    options = ("--pairs", "lenet5", "--batch-size", "8", "--out", str(out))
    assert command(monkeypatch, "--parts", "speed", *options) == 0
    assert "achieved" not in read_json(out)[throughput.where(LENET)]["lenet5"]
    assert command(monkeypatch, *options) == 0
    assert read_json(out)[throughput.where(LENET)]["lenet5"]["achieved"] == {
        "engine": {"gflops": 4.0, "share_of": {"matmul": 0.5}, "share_of_floor": {"in memory": 2 * (0.25 + 0.25)}}
    }


def test_a_part_that_fails_is_told_and_the_exit_code_says_so(monkeypatch, tmp_path, capsys):
    def fail(plan, minutes):
        raise RuntimeError("no memory")

    parts = {"memory": throughput.Part(fail), "flops": throughput.Part(lambda *_: {"per_step": {}})}
    monkeypatch.setattr(throughput, "PARTS", parts)
    assert command(monkeypatch, "--pairs", "lenet5", "--out", str(tmp_path / "speed.json")) == 1
    assert capsys.readouterr().err == "memory: no memory\n"
    ((_, pairs),) = read_json(tmp_path / "speed.json").items()
    assert list(pairs["lenet5"]) == ["flops"]


def test_what_cannot_be_measured_is_refused_in_a_line(monkeypatch, tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert command(monkeypatch, "--device", "cuda:99", "--out", str(out)) == 2
    assert capsys.readouterr().err.startswith("throughput.py: device = 'cuda:99' is not on this machine")
    assert command(monkeypatch, "--repeats", "0", "--out", str(out)) == 2
    assert "0 is not allowed" in capsys.readouterr().err
    assert not out.exists()
