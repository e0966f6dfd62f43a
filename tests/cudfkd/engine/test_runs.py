"""Run folders: their contents, resuming them, and loading finished runs again."""

import copy
import json
import subprocess
import sys
from contextlib import suppress

import pytest
import torch
from torch import nn

import cudfkd
from cudfkd import ConfigError, DataError, models
from cudfkd.callbacks import Callback
from tests.cudfkd.engine.test_loop import config, held_out, networks, same


class StopAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def before_epoch(self, ctx):
        if ctx.epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_finished_folder_holds_what_the_docstring_says(tmp_path):
    run = cudfkd.distill(*networks(), config(keep_epochs=(1,)), evaluate_on=held_out(), run_dir=tmp_path / "a" / "run")
    names = {path.name for path in run.path.iterdir()}
    networks_kept = {f"{n}{s}.safetensors" for n in ("student", "generator") for s in ("", "-epoch0001")}
    assert names == {"config.json", "metrics.jsonl", "summary.json", ".lock"} | networks_kept
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert json.loads((run.path / "summary.json").read_text())["accuracy"]["n"] == 12


def test_load_run_gives_back_what_distill_gave(tmp_path):
    run = cudfkd.distill(*networks(), config(keep_epochs=(1,)), evaluate_on=held_out(), run_dir=tmp_path / "run")
    loaded = cudfkd.load_run(tmp_path / "run")
    assert same(loaded.student, run.student)
    assert same(loaded.generator, run.generator)
    assert loaded.config == run.config
    assert loaded.summary == json.loads(json.dumps(run.summary))
    assert loaded.history["loss"].tolist() == run.history["loss"].tolist()
    assert not same(cudfkd.load_run(tmp_path / "run", epoch=1).student, run.student)


def test_an_epoch_that_was_not_kept_is_refused(tmp_path):
    cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="epoch = 1 was not kept"):
        cudfkd.load_run(tmp_path / "run", epoch=1)


def test_a_foreign_student_is_passed_in(tmp_path):
    teacher = networks()[0]
    foreign = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    cudfkd.distill(teacher, foreign, config(), run_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="pass it in with student="):
        cudfkd.load_run(tmp_path / "run")
    again = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    assert same(cudfkd.load_run(tmp_path / "run", again).student, foreign)
    with pytest.raises(ConfigError, match="pass in the right one"):
        cudfkd.load_run(tmp_path / "run", nn.Linear(3, 3))


class Dropout(nn.Module):
    """A student that also draws from the global random generator."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(models.build("lenet5-half", image_size=16, seed=2), nn.Dropout(0.3))

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, stop):
    c = config(epochs=4, options={"adv_end": 2.0})
    unbroken = cudfkd.distill(networks()[0], Dropout(), c, evaluate_on=held_out())
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(
            networks()[0], Dropout(), c, evaluate_on=held_out(), run_dir=tmp_path / "run", callbacks=[StopAfter(stop)]
        )
    run = cudfkd.distill(networks()[0], Dropout(), c, evaluate_on=held_out(), run_dir=tmp_path / "run", resume=True)
    assert same(run.student, unbroken.student)
    assert same(run.generator, unbroken.generator)
    timed = ["seconds", "total_seconds", "peak_memory_mb"]
    assert run.history.drop(columns=timed).equals(unbroken.history.drop(columns=timed))
    assert run.summary["generator_steps"] == unbroken.summary["generator_steps"]


def test_a_folder_in_use_is_refused(tmp_path):
    cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="holds a run already"):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="holds other files"):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_resuming_another_run_names_what_differs(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    with pytest.raises(ConfigError, match=r"holds a run with lr = 0\.1, not 0\.2"):
        cudfkd.distill(*networks(), config(lr=0.2), run_dir=tmp_path / "run", resume=True)


@pytest.mark.parametrize("file", ["config.json", "metrics.jsonl", "checkpoint.json", "checkpoint-00001.safetensors"])
def test_damaged_files_are_named(tmp_path, file):
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    path = tmp_path / "run" / file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=file) as error:
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", resume=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"value": "high"}, {"value": None}, {"n": True}, {"more": 1}])
def test_scores_that_no_run_writes_are_named(wrong, tmp_path):
    cudfkd.distill(*networks(), config(epochs=1), evaluate_on=held_out(), run_dir=tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text())
    summary["accuracy"] |= wrong
    path.write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"summary\.json is damaged \(accuracy is not what a run writes\)"):
        cudfkd.load_run(tmp_path / "run")


def test_no_run_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"is no run folder"):
        cudfkd.load_run(tmp_path)


class Count(Callback):
    steps = 0

    def after_student_step(self, ctx, batch):
        self.steps += 1


def test_an_interrupted_run_says_how_to_go_on_and_does(tmp_path):
    tiny = {"epochs": 3, "steps_per_epoch": 2, "round_steps": 2, "batch_size": 4}
    asked = cudfkd.Experiment(distill=cudfkd.DistillConfig(**tiny))
    with pytest.raises(KeyboardInterrupt) as caught:
        cudfkd.get_or_run(asked, tmp_path / "a", [StopAfter(1)])
    (line,) = caught.value._render_traceback_()  # all that a notebook shows
    assert line.startswith(f"interrupted; {tmp_path / 'a' / asked.key} keeps the run: run this again")
    seen = []

    class Notes(Callback):
        def before_epoch(self, ctx):
            seen.append(ctx.epoch)

    resumed = cudfkd.get_or_run(asked, tmp_path / "a", [Notes()])
    assert seen == [1, 2]
    assert same(resumed.student, cudfkd.get_or_run(asked, tmp_path / "b").student)


def test_a_notebook_shows_an_error_as_one_line():
    assert ConfigError("seed = x is not allowed")._render_traceback_() == ["ConfigError: seed = x is not allowed"]


def test_get_or_run_trains_once_and_again_for_another_description(tmp_path):
    count = Count()
    tiny = {"epochs": 1, "steps_per_epoch": 2, "round_steps": 2, "batch_size": 4, "options": {"generator_width": 2}}
    first = cudfkd.Experiment(distill=cudfkd.DistillConfig(**tiny))
    a = cudfkd.get_or_run(first, tmp_path, [count])
    b = cudfkd.get_or_run(first, tmp_path, [count])
    assert count.steps == 2
    assert same(a.student, b.student)
    assert b.history["accuracy"].tolist() == a.history["accuracy"].tolist()
    cudfkd.get_or_run(cudfkd.Experiment(distill=cudfkd.DistillConfig(**tiny, seed=1)), tmp_path, [count])
    assert count.steps == 4


def test_weights_on_disk_are_those_of_the_student(tmp_path):
    from safetensors.torch import load_file

    run = cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run")
    stored = load_file(tmp_path / "run" / "student.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in run.student.state_dict().items())


# Failures that a run survives


def test_a_run_that_dies_in_its_first_epoch_starts_from_the_same_student(tmp_path):
    c = config(epochs=2)
    student = networks()[1]
    unbroken = cudfkd.distill(networks()[0], copy.deepcopy(student), c)
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(networks()[0], student, c, run_dir=tmp_path / "run", callbacks=[StopAfter(0)])
    other = models.build("lenet5-half", image_size=16, seed=77)
    run = cudfkd.distill(networks()[0], other, c, run_dir=tmp_path / "run", resume=True)
    assert same(run.student, unbroken.student)


def test_the_previous_checkpoint_is_there_until_the_next_is_whole(tmp_path, monkeypatch):
    """Each write of a run in turn is the last action before a crash. The run can resume from its folder each time."""
    from cudfkd.base import files

    c = config(epochs=3, keep_epochs=(1, 2))
    unbroken = cudfkd.distill(*networks(), c)
    original, count, died = files.os.replace, [0], 0

    def dies(at):
        def replace(source, target):
            count[0] += 1
            if count[0] == at:
                raise SystemExit
            original(source, target)

        return replace

    for at in range(1, 100):
        count[0] = 0
        monkeypatch.setattr(files.os, "replace", dies(at))
        folder = tmp_path / str(at)
        try:
            cudfkd.distill(*networks(), c, run_dir=folder)
        except SystemExit:
            died += 1
        else:
            break
        finally:
            monkeypatch.setattr(files.os, "replace", original)
        run = cudfkd.distill(*networks(), c, run_dir=folder, resume=True)
        assert same(run.student, unbroken.student), at
        assert same(run.generator, unbroken.generator), at
        assert len(run.rows) == 3
        assert not same(cudfkd.load_run(folder, epoch=1).student, run.student)
        cudfkd.load_run(folder, epoch=2)
        assert not list(folder.glob("checkpoint*")) + list(folder.glob(".*.partial"))
    assert died == 1 + 2 + 3 * 3 + 2 * 2 + 3  # description, start, epochs, kept weights, end


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    first = cudfkd.distill(*networks(), config(), evaluate_on=held_out(), run_dir=tmp_path / "run")
    count = Count()
    again = cudfkd.distill(
        *networks(), config(), evaluate_on=held_out(), run_dir=tmp_path / "run", resume=True, callbacks=[count]
    )
    assert count.steps == 0
    assert same(again.student, first.student)
    assert again.summary == json.loads(json.dumps(first.summary))
    assert not again.student.training


def test_stop_after_ends_at_a_checkpoint_and_resume_goes_on(tmp_path):
    unbroken = cudfkd.distill(*networks(), config(epochs=3))
    run = cudfkd.distill(*networks(), config(epochs=3), run_dir=tmp_path / "run", stop_after=1e-9)
    assert [row["epoch"] for row in run.rows] == [1]
    assert run.summary == {}
    run = cudfkd.distill(*networks(), config(epochs=3), run_dir=tmp_path / "run", resume=True, stop_after=60)
    assert same(run.student, unbroken.student)
    assert run.summary["epoch"] == 3


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_stop_after_must_be_minutes(minutes, tmp_path):
    with pytest.raises(ConfigError, match="stop_after = .* greater than 0"):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", stop_after=minutes)


def test_stop_after_needs_a_folder():
    with pytest.raises(ConfigError, match=r"stop_after = 5 needs run_dir"):
        cudfkd.distill(*networks(), config(), stop_after=5)


def test_two_processes_do_not_write_one_folder(tmp_path):
    class Second(Callback):
        def before_epoch(self, ctx):
            code = f"from filelock import FileLock; FileLock({str(tmp_path / 'run' / '.lock')!r}, timeout=0).acquire()"
            assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
            with pytest.raises(ConfigError, match="is being written by the run whose callback asks for it"):
                cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", resume=True)

    cudfkd.distill(*networks(), config(epochs=1), run_dir=tmp_path / "run", callbacks=[Second()])
    assert cudfkd.distill(*networks(), config(epochs=1), run_dir=tmp_path / "run", resume=True).summary


def test_another_teacher_is_refused_on_resume(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", callbacks=[StopAfter(1)])
    teacher, student = networks()
    with torch.no_grad():
        teacher.classifier[0].weight[0, 0] += 1e-3
    with pytest.raises(ConfigError, match="teacher_sha256"):
        cudfkd.distill(teacher, student, config(), run_dir=tmp_path / "run", resume=True)


@pytest.mark.parametrize("file", ["checkpoint-00001.safetensors", "student.safetensors"])
def test_a_flipped_bit_is_found(tmp_path, file):
    callbacks = [StopAfter(1)] if file.startswith("checkpoint") else []
    with suppress(KeyboardInterrupt):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", callbacks=callbacks)
    path = tmp_path / "run" / file
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{file} is damaged \(its SHA-256 differs\)"):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", resume=True)
    with pytest.raises(DataError, match=rf"{file} is damaged"):
        cudfkd.load_run(tmp_path / "run")


def test_a_run_without_a_complete_epoch_cannot_be_loaded(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(*networks(), config(), run_dir=tmp_path / "run", callbacks=[StopAfter(0)])
    with pytest.raises(DataError, match="no epoch is complete"):
        cudfkd.load_run(tmp_path / "run")


def test_a_run_reads_well(tmp_path):
    run = cudfkd.distill(*networks(), config(), evaluate_on=held_out(), run_dir=tmp_path / "run")
    accuracy = run.rows[-1]["accuracy"]
    assert repr(run) == f"Run(cudfkd, 2 of 2 epochs, accuracy {accuracy:.4f}, {tmp_path / 'run'})"
