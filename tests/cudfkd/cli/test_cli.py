"""The command line, as a user types it. Bad input is in tests/test_bad_input."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

import cudfkd
from cudfkd import cli, data, methods, regularizers, teachers
from cudfkd.cli import main
from cudfkd.teachers import training

TINY = "--epochs 1 --steps-per-epoch 2 --round-steps 2 --batch-size 4 --generator-width 2"


def test_distill_then_evaluate(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(f"distill {TINY} --out {run} --keep-epochs 1".split()) == 0
    said = capsys.readouterr().out
    assert "epoch   1/1" in said
    assert "95 % interval" in said
    assert (run / "student-epoch0001.safetensors").exists()
    assert main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["accuracy", "agreement", "loyalty", "loyalty_published"]
    assert "n = 2000" in said


@pytest.mark.parametrize(("console", "encoding"), [("<&- >&- 2>&-", ""), (">&-", ""), ("2>&-", "ascii")])
def test_a_run_is_whole_whatever_the_console(console, encoding, tmp_path):
    run = tmp_path / "ü"
    line = f"exec {sys.executable} -m cudfkd.cli distill {TINY} --out {run} {console}"
    environment = os.environ | ({"PYTHONIOENCODING": encoding} if encoding else {})
    done = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert cudfkd.load_run(run).summary["epoch"] == 1
    assert not list(run.glob("checkpoint*"))
    if encoding:
        assert done.stdout.endswith("/\\xfc\n")
    again = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment)
    assert again.returncode == 2
    assert again.stderr.endswith(
        "" if "2>&-" in console else " holds a run already: choose another folder, or resume it\n"
    )


def test_a_teacher_that_changed_is_not_taken_for_the_runs(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(f"distill {TINY} --out {run}".split()) == 0
    description = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(description | {"teacher_sha256": "0" * 64}))
    assert main(["evaluate", str(run)]) == 2
    assert f"lenet5 is not the teacher of {run} any more: name one with --teacher" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--teacher", "lenet5"]) == 0


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(f"distill {TINY} --out {run}".split()) == 0
    assert main(f"distill {TINY} --out {run}".split()) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_run_that_stops_itself_ends_with_exit_code_1(tmp_path, capsys):
    dead = "--regularizer hard --lam-start 0.00001 --lam-end 0.00002"
    assert main(f"distill {TINY} {dead} --out {tmp_path / 'run'}".split()) == 1
    shown = capsys.readouterr()
    assert "the curriculum is dead in epoch 1" in shown.err
    assert shown.err.count("\n") == 1


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as left:
        main(["distill", "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    said = " ".join(said.split()).replace("- ", "-")  # as it was before lines were broken
    assert "student steps per epoch [100]" in said
    assert "a teacher that ships, or the file of your own teacher [lenet5]" in said
    assert "training seed of a teacher that ships [0]" in said
    assert "go on from the checkpoint in --out --stop-after" in said  # a switch has no default to tell
    assert f"{', '.join(regularizers.names())}; log is the paper's [log]" in said
    assert "weight of matching the teacher's BatchNorm statistics (1); 0" in said  # the help text of the default method
    assert "[cmi, dfq: 1.0; cudfkd: 3.0; deepinversion, fast-dfkd: 10.0]" in said
    assert "None" not in said


@pytest.mark.parametrize("out", [False, True])
def test_ctrl_c_says_how_to_go_on_where_there_is_a_folder(out, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.distill.experiments, "run", interrupted)
    assert main(f"distill {TINY}{f' --out {tmp_path}' if out else ''}".split()) == 130
    line = "cudfkd: interrupted; a run with --out goes on from its last epoch with --resume\n"
    assert capsys.readouterr().err == (line if out else "cudfkd: interrupted\n")


def test_stop_after_and_resume(tmp_path, capsys):
    run, tiny = tmp_path / "run", TINY.replace("--epochs 1", "--epochs 2")
    assert main(f"distill {tiny} --out {run} --stop-after 1e-9".split()) == 0
    assert "stopped after epoch 1 of 2: go on with --resume" in capsys.readouterr().out
    assert main(f"distill {tiny} --out {run} --resume".split()) == 0
    said = capsys.readouterr().out
    assert "epoch   2/2" in said
    assert "epoch   1/2" not in said
    assert main(f"distill {tiny} --out {run} --resume".split()) == 0
    assert "epoch" not in capsys.readouterr().out.splitlines()[0].split("of")[0]


def test_a_teacher_of_ones_own_is_named_by_its_file(tmp_path, capsys):
    shipped = data.ASSETS / "fashion-mnist" / "lenet5-seed2"
    for suffix in (".json", ".safetensors"):
        shutil.copy(shipped.with_suffix(suffix), tmp_path / f"mine{suffix}")
    mine, run = tmp_path / "mine.safetensors", tmp_path / "run"
    assert main(f"distill {TINY} --out {run} --teacher {mine}".split()) == 0
    assert main(["evaluate", str(run)]) == 0
    own = capsys.readouterr().out
    assert main(f"evaluate {run} --teacher lenet5 --teacher-seed 2".split()) == 0
    assert capsys.readouterr().out in own
    assert main(f"evaluate {run} --teacher lenet5 --teacher-seed 0".split()) == 0
    assert capsys.readouterr().out not in own


def test_plain_weights_are_a_teacher_whose_architecture_the_run_remembers(tmp_path, capsys, monkeypatch):
    torch.save({"model": teachers.load_teacher("fashion-mnist", "lenet5", 2).state_dict()}, tmp_path / "plain.pth")
    monkeypatch.chdir(tmp_path)
    assert main(f"distill {TINY} --out run --teacher plain.pth --teacher-arch lenet5".split()) == 0
    assert main(["evaluate", "run"]) == 0
    own = capsys.readouterr().out
    for named in (
        "--teacher lenet5 --teacher-seed 2",
        "--teacher plain.pth --teacher-arch lenet5",
        "--data fashion-mnist --teacher ./plain.pth --teacher-arch lenet5",
    ):
        assert main(f"evaluate run {named}".split()) == 0
        assert capsys.readouterr().out in own
    assert main(["evaluate", "run", "--teacher", "lenet5", "--teacher-seed", "0"]) == 0
    assert capsys.readouterr().out not in own
    torch.save(teachers.load_teacher("fashion-mnist", "lenet5", 1).state_dict(), tmp_path / "plain.pth")
    assert main(["evaluate", "run"]) == 2
    assert "plain.pth is not the teacher of run any more" in capsys.readouterr().err


def test_a_trained_teacher_is_told_from_the_one_that_ships(tmp_path, capsys, monkeypatch):
    """Training itself is tested in test_teachers."""
    ships = teachers.shipped_card("fashion-mnist", "lenet5", 0)
    for card, ending in (
        (ships, "the same weights"),
        (ships | {"sha256": "0"}, "other weights (rounding differs by machine)"),
        (ships | {"sha256": "0", "recipe": ships["recipe"] | {"epochs": 1}}, "another recipe"),
    ):
        monkeypatch.setattr(training, "train_teacher", lambda *_, card=card, **__: card)
        assert main(["teacher", "--out", str(tmp_path)]) == 0
        assert capsys.readouterr().out.strip().endswith(f"; {ending}")


def test_methods_are_listed_with_paper_costs_and_needs(capsys, monkeypatch):
    monkeypatch.setattr(methods, "costs", lambda: {"dafl": {"seconds": 61.0, "peak_memory_mb": 900.0}})
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["method", "paper", "seconds", "MB", "needs"]
    assert [line.split()[0] for line in lines[1:]] == methods.names()
    (dafl,) = (line.split() for line in lines if line.startswith("dafl "))
    assert dafl[5:7] == ["61", "900"]
    (cudfkd_line,) = (line for line in lines if line.startswith("cudfkd "))
    assert " - " in cudfkd_line  # not measured
    assert "BatchNorm" in cudfkd_line


def test_an_option_of_another_method_is_refused(capsys):
    assert main(["distill", "--method", "dfad", "--bn", "3"]) == 2
    assert "unknown option of method dfad 'bn': known: adversarial, augment" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_options_and_names(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("distill", "stop-after", "fashion-mnist", "lenet5-half", "welsch"))


def test_without_a_command_help_is_shown(capsys):
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 0
    assert "doctor" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == cudfkd.__version__
