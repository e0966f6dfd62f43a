"""The progress of a run: a bar in a terminal, one output in a notebook, lines in a log."""

import io
import re
import sys
from types import SimpleNamespace

import pytest

import cudfkd
from cudfkd.callbacks import Callback
from cudfkd.engine.progress import Progress
from tests.cudfkd.engine.test_loop import config, held_out, networks


class Terminal(io.StringIO):
    def isatty(self):
        return True


def distill(**more):
    return cudfkd.distill(*networks(), config(epochs=2), evaluate_on=held_out(), **more)


def test_a_log_gets_a_line_an_epoch(capsys):
    distill(callbacks=[Progress()])
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch   2/2  loss ")
    assert "accuracy" in lines[1]
    assert shown.err == ""


def test_lines_go_where_they_are_asked_to():
    lines = []
    distill(callbacks=[Progress(lines.append)])
    assert [line[:11] for line in lines] == ["epoch   1/2", "epoch   2/2"]


def test_a_terminal_gets_a_bar_that_counts_student_steps_and_goes_away(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    distill(callbacks=[Progress()])
    assert "4/8" in terminal.getvalue()
    assert "epoch   2/2" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    assert capsys.readouterr().out == ""


def closed():
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stderr", [None, closed(), Terminal()])
@pytest.mark.parametrize("stdout", [None, closed(), io.TextIOWrapper(io.BytesIO(), "ascii")])
def test_a_run_goes_on_whatever_the_console(stdout, stderr, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    run = distill(callbacks=[Progress()], run_dir=tmp_path / "ü")
    assert run.summary["epoch"] == 2
    assert (run.path / "summary.json").exists()


def test_a_terminal_that_is_closed_during_a_run_does_not_end_it(monkeypatch):
    class Closes(Callback):
        def after_epoch(self, ctx, row):
            sys.stderr.close()

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert distill(callbacks=[Progress(), Closes()]).summary["epoch"] == 2


def test_a_bar_is_taken_away_after_an_error(monkeypatch):
    class Breaks(Callback):
        def after_epoch(self, ctx, row):
            raise RuntimeError

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(RuntimeError), Progress() as progress:
        distill(callbacks=[progress, Breaks()])
    assert terminal.getvalue().endswith("\r")


def test_a_notebook_gets_one_output_that_is_replaced(monkeypatch):
    import IPython.display

    shown = []

    def display(text, display_id):
        assert display_id is True
        shown.append(("new", repr(text)))
        return SimpleNamespace(update=lambda text: shown.append(("replaced", repr(text))))

    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    distill(callbacks=[Progress()])
    (first, *replaced), texts = zip(*shown, strict=True)
    assert (first, set(replaced)) == ("new", {"replaced"})
    half = next(text for text in texts if text.startswith(" 50 % |"))
    assert re.search(r"4 of 8 steps, \d\d:\d\d so far, \d\d:\d\d left\nepoch   1/2  loss ", half)
    assert texts[-1].startswith("epoch   2/2")
    assert "\n" not in texts[-1]
