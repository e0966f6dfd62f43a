"""The measurement in parts: what is there is kept, what does not end goes on, and the run is the grid's."""

from hashlib import sha256

import pytest
from safetensors.torch import save

from benchmarks import gpu
from benchmarks.gpu import PLANS, measure
from cudfkd import ConfigError, models
from cudfkd.files import read_json, write_bytes, write_json

SMOKE = PLANS["smoke"]


@pytest.fixture
def parts(monkeypatch):
    """Three parts, of which the second ends at its second call; what was called."""
    called = []

    def part(name, ends):
        def act(plan, minutes):
            called.append(name)
            return {"found": name} if called.count(name) == ends else None

        return act

    monkeypatch.setattr(gpu, "PARTS", {"a": part("a", 1), "b": part("b", 2), "c": part("c", 1)})
    return called


def test_what_is_measured_is_kept_and_what_did_not_end_goes_on(parts, tmp_path):
    out = tmp_path / "gpu.json"
    assert measure(SMOKE, "smoke", 9.0, out) == ["b", "c"]
    assert measure(SMOKE, "smoke", 9.0, out) == []
    assert measure(SMOKE, "smoke", 9.0, out) == []
    assert parts == ["a", "b", "b", "c"]
    ((place, here),) = read_json(out)["smoke"].items()
    assert "threads" in place
    assert here["setting"]["pair"] == "lenet5"
    assert [here[name]["found"] for name in "abc"] == ["a", "b", "c"]


def test_no_part_begins_after_the_minutes(parts, tmp_path):
    assert measure(SMOKE, "smoke", 0.0, tmp_path / "gpu.json") == ["a", "b", "c"]
    assert parts == []


def test_without_a_gpu_the_paper_plan_is_refused_in_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 2
    assert capsys.readouterr().err.startswith("gpu.py: device = 'cuda' is not on this machine")
    with pytest.raises(ConfigError):
        measure(PLANS["paper"], "paper", 9.0, tmp_path / "gpu.json")


def test_the_long_run_has_the_values_of_the_grid(monkeypatch):
    monkeypatch.setattr("cudfkd.teachers.locate", lambda *_: None)
    monkeypatch.setattr("cudfkd.teachers.teacher_card", lambda _: {"sha256": "0"})
    monkeypatch.setattr("cudfkd.devices.check", lambda *_, **__: None)
    config = PLANS["paper"].experiment(30, precision="bfloat16").distill
    assert (config.epochs, config.steps_per_epoch, config.batch_size, config.round_steps) == (30, 400, 512, 10)
    assert (config.device, config.precision, config.options.adv_end) == ("cuda", "bfloat16", 62.0)


def test_the_loops_are_compared_over_three_epochs(monkeypatch):
    seconds = {"off": [9.0, 2.0, 2.0, 2.0], "default": [9.0, 1.0, 1.0, 1.0], "reduce-overhead": [9.0, 4.0, 4.0, 4.0]}
    monkeypatch.setattr(gpu.loops, "engine", lambda setting, rounds: seconds[setting.compile])
    monkeypatch.setattr(gpu.loops, "plain", lambda setting, rounds: [9.0, 8.0, 8.0, 8.0])
    found = gpu.speed(SMOKE, 9.0)
    assert found["best"] == "engine, compile default"
    assert found["best_over_reference"] == pytest.approx(8.0)
    assert found["steps_per_second"]["reference"] == [SMOKE.setting.round_steps / 8.0] * 3
    minutes = gpu.PAPER / SMOKE.setting.round_steps / 60
    assert found["minutes_of_the_papers_run_extrapolated"] == pytest.approx(minutes)


def test_runs_end_and_go_on_and_are_scored_on_test(monkeypatch, tmp_path):
    monkeypatch.setattr(type(SMOKE), "out", tmp_path)
    untrained_teacher(SMOKE.teacher.parent)
    found = gpu.distillation(SMOKE, 9.0)
    assert found["test"]["accuracy"]["n"] == 10_000
    assert len(found["accuracy_by_epoch"]) == SMOKE.epochs
    assert found["mu_and_sigma"]["n"] == SMOKE.epochs
    apart = gpu.precision(SMOKE, 9.0)
    assert apart["bfloat16_less_float32"]["n"] == SMOKE.seeds == len(apart["accuracy"]["float32"])


def untrained_teacher(folder):
    """Files as `cudfkd teacher` writes them."""
    network = models.build("lenet5", 10, 1, 32)
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    folder.mkdir(parents=True)
    write_bytes(folder / "lenet5-seed0.safetensors", weights)
    card = {"data": "fashion-mnist-32", "model": models.spec_of(network), "sha256": sha256(weights).hexdigest()}
    write_json(folder / "lenet5-seed0.json", card)
