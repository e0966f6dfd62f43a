"""Every end of a program has its exit code and one line at most."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from cudfkd.base import command
from cudfkd.base.errors import ConfigError, DataError, TrainingError


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_the_exit_code_is_what_the_program_returns(returned, code, capsys):
    assert command.run("tool", lambda: returned) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "failures", "code"),
    [(ConfigError("no"), (), 2), (TrainingError("no"), (), 2), (TrainingError("no"), (TrainingError,), 1),
     (DataError("no"), (TrainingError,), 2)],
)  # fmt: skip
def test_an_error_of_the_user_is_one_line(error, failures, code, capsys):
    assert command.run("tool", raising(error), failures=failures) == code
    assert capsys.readouterr() == ("", "tool: no\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({}, "tool: interrupted\n"),
        ({"interrupted": "interrupted; runs are kept"}, "tool: interrupted; runs are kept\n"),
    ],
)
def test_ctrl_c_is_one_line(words, line, capsys):
    assert command.run("tool", raising(KeyboardInterrupt()), **words) == 130
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(2)])
def test_any_other_error_is_raised(error):
    with pytest.raises(type(error)):
        command.run("tool", raising(error))


def test_a_broken_pipe_of_a_captured_output_needs_no_file_descriptor(capsys):
    assert command.run("tool", raising(BrokenPipeError())) == 141
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("lines", [1, 100_000])  # met at the flush at the end, and while it prints
def test_a_reader_that_is_gone_is_no_error(lines):
    code = f"""
import sys
from cudfkd.base import command
sys.stdin.readline()
sys.exit(command.run("tool", lambda: print("a line\\n" * {lines})))
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        process.stdout.close()
        process.stdin.write("go on\n")
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


CONSOLES = {"none": None, "closed": io.StringIO()}
CONSOLES["closed"].close()


@pytest.mark.parametrize("stream", CONSOLES.values(), ids=CONSOLES)
@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("no"), 2), (TrainingError("no"), 1), (KeyboardInterrupt(), 130), (None, 0)]
)
def test_without_a_console_the_exit_code_is_the_same(stream, error, code, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    main = raising(error) if error else lambda: sys.stdout.write("ü") and None
    assert command.run("tool", main, failures=(TrainingError,)) == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the file that is a full disk is Linux's")
def test_a_full_disk_behind_stdout_lets_the_program_end_and_is_told_in_a_line(tmp_path):
    code = f"""
import sys
from pathlib import Path
from cudfkd.base import command, console
def main():
    console.say("a line")
    Path({str(tmp_path / "done")!r}).touch()
sys.exit(command.run("tool", main))
"""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "stdout cannot be written (No space left on device): a line was lost\n"
    assert done.returncode == 0
    assert (tmp_path / "done").exists()
