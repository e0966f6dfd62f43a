"""The measurement in parts: what is there is kept, what does not end goes on, and the run is the grid's."""

from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save

from benchmarks import gpu
from benchmarks.gpu import PLANS, measure
from benchmarks.loops import LOOPS
from cudfkd import ConfigError, models
from cudfkd.base.files import read_json, write_bytes, write_json

SMOKE = PLANS["smoke"]


@pytest.fixture
def parts(monkeypatch):
    """Three parts, of which the second ends at its second call and may take long; what was called."""
    called = []

    def part(name, ends, minutes=1.0):
        def act(plan, minutes):
            called.append(name)
            return {"found": name} if called.count(name) == ends else None

        return gpu.Part(act, minutes)

    monkeypatch.setattr(gpu, "PARTS", {"a": part("a", 1), "b": part("b", 2, 8.0), "c": part("c", 1)})
    return called


def test_what_is_measured_is_kept_and_what_did_not_end_goes_on(parts, tmp_path):
    out = tmp_path / "gpu.json"
    assert measure(SMOKE, "smoke", 9.0, out, "abc") == (["b", "c"], [])
    assert measure(SMOKE, "smoke", 9.0, out, "abc") == ([], [])
    assert measure(SMOKE, "smoke", 9.0, out, "abc") == ([], [])
    assert parts == ["a", "b", "b", "c"]
    ((place, here),) = read_json(out)["smoke"].items()
    assert "threads" in place
    assert here["setting"]["pair"] == "lenet5"
    assert [here[name]["found"] for name in "abc"] == ["a", "b", "c"]
    assert {"torch", "tf32", "commit"} < here["a"].keys()


def test_no_part_begins_after_the_minutes_or_that_may_take_longer(parts, tmp_path):
    assert measure(SMOKE, "smoke", 0.0, tmp_path / "gpu.json", "abc") == (["a", "b", "c"], [])
    assert parts == []
    assert measure(SMOKE, "smoke", 7.0, tmp_path / "gpu.json", "abc") == (["b", "c"], [])
    assert parts == ["a"]
    assert measure(SMOKE, "smoke", 7.0, tmp_path / "gpu.json", "bc") == (["b", "c"], [])  # the first of a call begins
    assert parts == ["a", "b"]


def test_only_what_is_asked_for_is_measured(parts, tmp_path):
    assert measure(SMOKE, "smoke", 9.0, tmp_path / "gpu.json", "c") == ([], [])
    assert parts == ["c"]


@pytest.fixture
def taught(monkeypatch, tmp_path):
    """A plan with parts that leave and need a teacher's file."""

    def teach(plan, minutes):
        plan.teacher.parent.mkdir(parents=True, exist_ok=True)
        for file in plan.teacher_files:
            assert not file.exists()
            file.write_bytes(b"")
        return {"card": 1}

    def learn(plan, minutes):
        return {"learned": all(file.exists() for file in plan.teacher_files)}

    monkeypatch.setattr(gpu, "PARTS", {"teacher": gpu.Part(teach), "distillation": gpu.Part(learn)})
    return replace(SMOKE, folder=tmp_path)


@pytest.mark.parametrize("gone", [[0], [1], [0, 1]])
def test_a_teacher_that_is_gone_is_trained_again_if_it_is_needed(gone, taught, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu.data, "load", lambda *_: None)
    out = tmp_path / "gpu.json"
    assert measure(taught, "smoke", 9.0, out, ["teacher"]) == ([], [])
    for file in gone:
        taught.teacher_files[file].unlink()
    assert measure(taught, "smoke", 9.0, out, ["distillation"]) == ([], [])
    ((_, here),) = read_json(out)["smoke"].items()
    assert here["distillation"]["learned"]
    for file in gone:
        taught.teacher_files[file].unlink()
    assert measure(taught, "smoke", 9.0, out, ["teacher", "distillation"]) == ([], [])
    assert not all(file.exists() for file in taught.teacher_files)  # all is measured


@pytest.mark.parametrize(
    ("error", "line"),
    [(ConfigError("no"), "no"), (torch.OutOfMemoryError("none\nleft"), "none left"), (MemoryError(), "MemoryError"),
     (BrokenProcessPool("gone"), "gone")],
)  # fmt: skip
def test_a_part_that_fails_is_told_and_the_others_are_measured(error, line, parts, tmp_path, monkeypatch, capsys):
    def fail(plan, minutes):
        raise error

    monkeypatch.setattr(gpu, "PARTS", gpu.PARTS | {"b": gpu.Part(fail)})
    assert measure(SMOKE, "smoke", 9.0, tmp_path / "gpu.json", "abc") == ([], ["b"])
    assert parts == ["a", "c"]
    assert capsys.readouterr().err == f"b: {line}\n"


def test_what_a_loop_warned_of_is_told_and_it_is_not_the_fastest(parts, tmp_path, monkeypatch, capsys):
    slow, fast = ({"steps_per_second": [rate], "mb": {}} for rate in (1.0, 9.0))
    found = {"engine": slow, "engine, compile default": fast | {"warnings": ["torch.compile failed"]}}
    made = {name: gpu.Part(lambda plan, minutes, one=one: one) for name, one in found.items()}
    monkeypatch.setattr(gpu, "PARTS", made)
    assert measure(SMOKE, "smoke", 9.0, tmp_path / "gpu.json", list(made)) == ([], [])
    assert capsys.readouterr().err == "engine, compile default: torch.compile failed\n"
    ((_, here),) = read_json(tmp_path / "gpu.json")["smoke"].items()
    assert here["summary"]["fastest"] == "engine"


@pytest.mark.parametrize("name", gpu.LOOPS)
def test_each_loop_is_what_its_name_says(name, monkeypatch):
    monkeypatch.setattr(gpu.loops, "alone", lambda function, *arguments: (function, arguments))
    function, (setting, loop, rounds) = gpu.LOOPS[name].measure(SMOKE, 9.0)
    assert function is gpu.loops.timed
    told = name.split(", compile ")
    assert (loop, setting.compile) == (told[0], told[1] if len(told) == 2 else "off")
    assert rounds == SMOKE.rounds


def test_the_rates_are_those_of_the_plans_grid_and_end_where_one_cannot_be_run(monkeypatch):
    assert PLANS["paper"].grid == "paper.yaml"
    asked = []

    def measured(cells, seconds, minutes, out):
        asked.append((len(cells), minutes))
        return (["next"], []) if len(asked) == 1 else ([], ["one"])

    monkeypatch.setattr(gpu.rates, "measure", measured)
    assert gpu.costs(PLANS["paper"], 3.0) is None
    assert gpu.costs(PLANS["paper"], 3.0) == {"kinds": 135, "failed": ["one"]}
    assert asked == [(135, 3.0)] * 2


def test_the_difference_is_bfloat16_less_float32(monkeypatch):
    class Done:
        def __init__(self, name):
            self.summary = {"accuracy": {"value": {"float32": 0.8, "bfloat16": 0.5}[name]}}

    monkeypatch.setattr(gpu.Plan, "experiment", lambda self, epochs, seed, precision: precision)
    monkeypatch.setattr(gpu.Plan, "run", lambda self, name, minutes: Done(name))
    assert gpu.precision(SMOKE, 9.0)["bfloat16_less_float32"]["value"] == pytest.approx(-0.3)


def test_parts_are_measured_in_their_order(parts, tmp_path):
    assert gpu.main(["--plan", "smoke", "--parts", "c", "a", "--out", str(tmp_path / "gpu.json")]) == 0
    assert parts == ["a", "c"]


def test_a_file_that_holds_something_else_is_refused(parts, tmp_path, capsys):
    out = tmp_path / "gpu.json"
    out.write_text('{"smoke": 3}')
    assert gpu.main(["--plan", "smoke", "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"gpu.py: {out} does not hold measurements: name another file with --out\n"


@pytest.mark.parametrize("needs", ["teacher", "distillation", "precision"])
def test_missing_images_are_told_before_anything_is_measured(needs, parts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "PARTS", gpu.PARTS | {needs: gpu.PARTS["c"]})
    monkeypatch.setenv("CUDFKD_DATA", str(tmp_path))
    assert gpu.main(["--plan", "smoke", "--out", str(tmp_path / "gpu.json"), "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gpu.py: ")
    assert said.count("\n") == 1
    assert parts == []


def test_ctrl_c_is_one_line(parts, tmp_path, monkeypatch, capsys):
    def interrupted(plan, minutes):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "PARTS", gpu.PARTS | {"b": gpu.Part(interrupted)})
    out = tmp_path / "gpu.json"
    assert gpu.main(["--plan", "smoke", "--out", str(out)]) == 130
    assert capsys.readouterr().err == (
        "gpu.py: interrupted; what was measured is kept, and runs go on from their last epoch\n"
    )
    ((_, here),) = read_json(out)["smoke"].items()
    assert here["a"]["found"] == "a"


def test_without_a_gpu_the_paper_plan_is_refused_in_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 2
    assert capsys.readouterr().err.startswith("gpu.py: device = 'cuda' is not on this machine")
    with pytest.raises(ConfigError):
        measure(PLANS["paper"], "paper", 9.0, tmp_path / "gpu.json")


def test_the_long_run_has_the_values_of_the_grid(monkeypatch):
    monkeypatch.setattr("cudfkd.teachers.locate", lambda *_: None)
    monkeypatch.setattr("cudfkd.teachers.teacher_card", lambda _: {"sha256": "0"})
    monkeypatch.setattr("cudfkd.base.devices.check", lambda *_, **__: None)
    config = PLANS["paper"].experiment(30, precision="bfloat16").distill
    assert (config.epochs, config.steps_per_epoch, config.batch_size, config.round_steps) == (30, 400, 512, 10)
    assert (config.device, config.precision, config.options.adv_end) == ("cuda", "bfloat16", 62.0)


def test_a_loop_is_timed_over_three_epochs_and_weighed_in_a_process_of_its_own():
    found = gpu.PARTS["reference"].measure(SMOKE, 9.0)
    assert len(found["steps_per_second"]) == 3
    assert 0 < found["mb"]["before"] < found["mb"]["peak"]


def test_the_summary_takes_the_fastest_engine_and_extrapolates_the_papers_run():
    here = {
        "engine": {"steps_per_second": [90.0, 110.0]},
        "engine, compile default": {"steps_per_second": [200.0]},
        "reference": {"steps_per_second": [25.0]},
    }
    found = gpu.summary(here, "bfloat16")
    assert found["fastest"] == "engine, compile default"
    assert found["over_reference"] == {"engine": 4.0, "engine, compile default": 8.0}
    assert found["minutes_of_the_papers_steps_extrapolated"] == pytest.approx(100_000 / 200 / 60)
    assert "minutes_of_the_papers_run_extrapolated" not in found
    found = gpu.summary(here | {"distillation": {"seconds_an_epoch_besides": 1.2}}, "bfloat16")
    assert found["minutes_of_the_papers_run_extrapolated"] == pytest.approx(100_000 / 200 / 60 + 250 * 1.2 / 60)
    assert gpu.summary({"teacher": {}}, "bfloat16") == {"speed": {"steps_per_second": {}}}


def test_the_summary_has_shares_of_the_ceilings():
    one = {"per_step": {name: {"products": {"bytes": 0.0}, "others": {"bytes": 1e9}} for name in LOOPS}}
    here = {
        "engine": {"steps_per_second": [10.0]},
        "reference": {"steps_per_second": [5.0]},
        "ceiling": {
            "gflops": {"float32": {"matmul": 100.0}, "bfloat16": {"matmul": 400.0}},
            "gb_per_second": {"in memory": 100.0},
        },
        "flops": {"per_step": {"engine": 4e9, "reference": 4e9}},
        "traffic": one,
    }
    found = gpu.summary(here, "bfloat16")["achieved"]
    assert found["engine"]["share_of"] == {"matmul": 0.1}
    assert found["reference"]["share_of"] == {"matmul": 0.2}
    assert found["engine"]["share_of_floor"] == {"in memory": pytest.approx(10 * (0.01 + 0.01))}


def test_runs_end_and_go_on_and_are_scored_on_test(tmp_path):
    plan = replace(SMOKE, folder=tmp_path)
    untrained_teacher(plan.teacher.parent)
    found = gpu.distillation(plan, 9.0)
    assert found["test"]["accuracy"]["n"] == 10_000
    assert len(found["accuracy_by_epoch"]) == SMOKE.epochs
    assert found["mu_and_sigma"]["n"] == SMOKE.epochs
    assert found["seconds_an_epoch_besides"] > 0
    apart = gpu.precision(plan, 9.0)
    assert apart["bfloat16_less_float32"]["n"] == SMOKE.seeds == len(apart["accuracy"]["float32"])


def untrained_teacher(folder):
    """Files as `cudfkd teacher` writes them."""
    network = models.build("lenet5", 10, 1, 32)
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    folder.mkdir(parents=True)
    write_bytes(folder / "lenet5-seed0.safetensors", weights)
    card = {"data": "fashion-mnist-32", "model": models.spec_of(network), "sha256": sha256(weights).hexdigest()}
    write_json(folder / "lenet5-seed0.json", card)
