"""Runs of a study: what a record lacks is run, once, here or in processes; a new number takes a function."""

import json

import pytest
import torch
import yaml

from analysis.studies import catalog, records, run, study, table
from analysis.studies.__main__ import main
from analysis.studies.again import again
from cudfkd import ConfigError, DataError, Experiment, TrainingError
from cudfkd.base import machine
from cudfkd.engine import experiments
from cudfkd.teachers import recipes
from cudfkd.teachers.training import train_teacher
from tests.analysis.studies.tiny import VALUES, tiny
from tests.cudfkd.data.pictures import make


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The record of the whole study."""
    path = tmp_path_factory.mktemp("studies") / "tiny.json"
    assert len(list(run.fill(tiny(), path))) == 4
    return path


def test_a_record_is_made_once(path):
    assert list(run.fill(tiny(), path)) == []
    runs = table.frame(records.read(path))
    assert runs.groupby("granularity").size().to_dict() == {"sample": 2, "none": 2}
    assert runs["relative"].max() <= 1e-12
    assert (runs["seconds"] >= 0).all()


def test_a_recorded_run_is_the_same_again(path):
    repeat = again(tiny(), records.read(path), "sample", 1)
    assert repeat.same_machine
    assert repeat.differing == []
    assert len(repeat.numbers) > 20


def altered(path, change):
    """The record with the entry of ("sample", 0) changed."""
    content = json.loads(path.read_text())
    change(content["cases"][tiny().case("sample").key]["runs"]["0"])
    other = path.with_name("altered.json")
    other.write_text(json.dumps(content))
    return records.read(other)


def test_a_number_that_differs_is_named_on_the_same_machine_and_on_another_only_accuracy_counts(path):
    def shift(kept):
        kept["numbers"]["loyalty"] += 0.001

    def elsewhere(kept):
        shift(kept)
        kept["made"]["hardware"] = "another machine"

    def further(kept):
        elsewhere(kept)
        kept["numbers"]["accuracy"] += 0.021

    assert again(tiny(), altered(path, shift), "sample", 0).differing == ["loyalty"]
    assert again(tiny(), altered(path, elsewhere), "sample", 0).differing == []
    assert again(tiny(), altered(path, elsewhere), "sample", 0, tolerance=1e-6).differing == ["loyalty"]
    assert again(tiny(), altered(path, further), "sample", 0).differing == ["accuracy"]


def test_a_number_that_is_gone_and_a_run_that_had_stopped_differ(path):
    more = altered(path, lambda kept: kept["numbers"].update(nonsense=1.0))
    assert again(tiny(), more, "sample", 0).differing == ["nonsense"]
    stopped = altered(path, lambda kept: kept.update(stopped="it was dead", numbers={}))
    assert again(tiny(), stopped, "sample", 0).differing == ["stopped"]


def test_a_setting_that_came_later_is_not_filled_in_with_its_default(path):
    """The runs of such a record were made without the setting: they are not repeated as if with it."""
    content = json.loads(path.read_text())
    kept = content["cases"].pop(tiny().case("sample").key)
    del kept["case"]["experiment"]["distill"]["options"]["generator_schedule"]
    content["cases"][records.digest(kept["case"])] = kept
    older = path.with_name("older.json")
    older.write_text(json.dumps(content))
    with pytest.raises(DataError, match="'sample' does not say all settings of today: record it again"):
        again(tiny(), records.read(older), "sample", 0)
    assert len(records.lacking(tiny(), records.begun(tiny(), older))) == 2


def test_the_stamp_belongs_to_the_run(tmp_path, monkeypatch):
    """A record that is completed on another machine says of each run where that was made."""
    path = tmp_path / "tiny.json"
    list(run.fill(tiny(), path, labels=["sample"], seeds=[0]))
    monkeypatch.setattr(machine, "hardware", lambda device: "another machine")
    list(run.fill(tiny(), path, labels=["sample"]))
    places = [records.read(path).find("sample", seed)[1].made["hardware"] for seed in (0, 1)]
    assert "threads" in places[0]
    assert places[1] == "another machine"


def test_a_process_a_run_gives_the_same_numbers(path, tmp_path):
    (line,) = run.fill(tiny(), tmp_path / "tiny.json", processes=1, labels=["sample"], seeds=[0])
    assert line.startswith("tiny, sample, seed 0: accuracy 0.")
    alone, here = (records.read(place).find("sample", 0)[1] for place in (tmp_path / "tiny.json", path))
    assert alone.numbers["accuracies"] == pytest.approx(here.numbers["accuracies"], abs=0.02)
    assert alone.made["threads"] >= 1


def test_ctrl_c_waits_for_no_other_process(tmp_path, monkeypatch):
    def interrupted(jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "as_completed", interrupted)
    long = tiny(base={"experiment": {"distill": {"steps_per_epoch": 100_000}}})
    with pytest.raises(KeyboardInterrupt):
        list(run.fill(long, tmp_path / "tiny.json", processes=1))
    assert not (tmp_path / "tiny.json").exists()


def test_a_run_that_stops_itself_is_a_result(tmp_path, monkeypatch):
    def stops(*_, **__):
        raise TrainingError("not finite")

    monkeypatch.setattr(experiments, "run", stops)
    lines = list(run.fill(tiny(), tmp_path / "tiny.json", labels=["none"], seeds=[1]))
    assert lines == ["tiny, none, seed 1: not finite"]
    record = records.read(tmp_path / "tiny.json")
    assert record.find("none", 1)[1].stopped == "not finite"
    assert table.frame(record)["accuracy"].isna().all()
    assert list(run.fill(tiny(), tmp_path / "tiny.json", labels=["none"], seeds=[1])) == []


def test_a_new_study_takes_a_file_and_a_function_that_reads_a_number(tmp_path, monkeypatch, capsys):
    def first_weight(outcome):
        return {"first_weight": outcome.run.rows[0]["mean_weight"]}

    monkeypatch.setitem(run.READERS, "first_weight", first_weight)
    file = tmp_path / "weights.yaml"
    file.write_text(
        yaml.safe_dump(VALUES | {"name": "weights", "reads": ["first_weight"], "seeds": [3]}, sort_keys=False)
    )
    assert main(["record", str(file)]) == 0
    assert capsys.readouterr().out.count("accuracy") == 2
    runs = table.frame(records.read(tmp_path / "weights.json"))
    assert runs.set_index("granularity")["first_weight"]["none"] == 1
    assert runs.set_index("granularity")["first_weight"]["sample"] < 1
    assert main(["check", str(file), "none", "3"]) == 0


def test_an_unknown_reader_or_seed_is_named(tmp_path):
    with pytest.raises(ConfigError, match="unknown reader 'nonsense'"):
        list(
            run.fill(
                tiny(reads=["nonsense"], base={"experiment": {"distill": {"epochs": 10_000}}}), tmp_path / "a.json"
            )
        )
    with pytest.raises(ConfigError, match="unknown seed of tiny '9'"):
        list(run.fill(tiny(), tmp_path / "tiny.json", seeds=[9]))
    with pytest.raises(ConfigError, match="unknown case of tiny 'batch'"):
        list(run.fill(tiny(), tmp_path / "tiny.json", labels=["batch"]))
    assert not (tmp_path / "tiny.json").exists()


def test_rows_images_and_test_scores_are_kept_where_a_study_asks(tmp_path):
    asked = tiny(keep="images", reads_test=True)
    list(run.fill(asked, tmp_path / "tiny.json", labels=["sample"]))
    first, second = (records.read(tmp_path / "tiny.json").find("sample", seed)[1] for seed in (0, 1))
    assert first.rows[0]["epoch"] == 1
    assert records.images(first).shape == (8, 1, 28, 28)
    assert second.images is None
    assert first.numbers["test_accuracy"] == first.summary["test"]["accuracy"]["value"]
    assert first.summary["test"]["accuracy"]["n"] == 10_000


def test_curves_hold_clocks_and_measures_of_each_epoch(tmp_path):
    list(run.fill(tiny(keep="curves"), tmp_path / "tiny.json", labels=["sample"], seeds=[0]))
    _, first = records.read(tmp_path / "tiny.json").find("sample", 0)
    assert set(first.rows[0]) == {
        "epoch", "student_steps", "generator_steps", "teacher_images", "seconds", "total_seconds",
        "accuracy", "agreement", "loyalty", "loyalty_published",
    }  # fmt: skip
    assert [row["accuracy"] for row in first.rows] == first.numbers["accuracies"]
    assert first.summary["generator_steps"] == first.rows[-1]["generator_steps"]


def test_a_finished_folder_is_a_record_of_one_run(tmp_path, monkeypatch):
    """It names the machine of the run, and not of who records it: rates are matched by that string."""
    experiment = tiny().case("sample").with_seed(5).experiment
    experiments.run(experiment, tmp_path / "run")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = machine.hardware("cpu")
    monkeypatch.setattr(machine, "hardware", lambda device: "another machine")
    record = run.of_folder(tmp_path / "run")
    ((case, seed, kept),) = record.runs()
    assert case.at == {"data": "fashion-mnist", "teacher": "lenet5", "student": "lenet5-half", "method": "cudfkd"}
    assert Experiment.model_validate(case.case["experiment"]) == tiny().case("sample").experiment
    assert (seed, kept.made["hardware"]) == (5, before)
    assert kept.summary["accuracy"]["value"] == kept.numbers["accuracy"]
    assert len(kept.rows) == 1


def test_finished_runs_of_a_notebook_are_a_record():
    done = {case.label: experiments.run(case.experiment) for case in tiny().cases}
    scores = table.last_epoch(run.of_runs(tiny(), done))
    assert scores.index.tolist() == ["sample", "none"]
    assert scores.loc["none", "mean weight"] == 1
    assert (scores["95 % low"] <= scores["accuracy"]).all()


def test_the_command_says_bad_names_in_one_line(capsys, path):
    assert main(["check", "nothing", "sample", "0"]) == 2
    assert capsys.readouterr().err.startswith("analysis.studies: unknown study 'nothing'")
    assert main(["record", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err.startswith("analysis.studies: nowhere.yaml is missing or not YAML")


def test_the_command_lists_what_there_is(capsys):
    assert main(["list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == catalog.names()
    assert {"drift", "mended", "methods", "tuning"} < set(lines)
    assert all("complete" in lines[name] for name in ("drift", "granularity", "map", "pace"))


def test_the_threads_of_the_record_are_used_again(path, monkeypatch):
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    again(tiny(), records.read(path), "none", 0)
    assert used == [1]


def test_a_study_of_files_says_where_its_record_is(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(VALUES, sort_keys=False))
    assert study.load(file).key == tiny().key
    assert main(["check", str(file), "sample", "0"]) == 2


def test_a_folder_of_images_is_tested_at_the_size_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = str(make(tmp_path / "mine", {"train": 10, "test": 4}, size=20, channels=1))
    recipe = recipes.Recipe(epochs=1, batch_size=8)
    train_teacher(folder, "lenet5-half", out=tmp_path / "teachers", recipe=recipe, image_size=28)
    weights = str(tmp_path / "teachers" / "lenet5-half-seed0.safetensors")
    experiment = {"data": folder, "teacher": weights, "distill": {"image_size": 28}}
    described = tiny(base={"experiment": experiment}, reads_test=True, seeds=[0])
    list(run.fill(described, tmp_path / "tiny.json", labels=["none"]))
    assert 0 <= records.read(tmp_path / "tiny.json").find("none", 0)[1].numbers["test_accuracy"] <= 1
