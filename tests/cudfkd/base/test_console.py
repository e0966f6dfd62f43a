"""A line for the console never ends the work that it tells of, whatever the console."""

import argparse
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cudfkd.base import console


class Failing(io.StringIO):
    """A stream behind which something is wrong."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        raise self.error


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def encoded(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding, errors)


def written(stream):
    stream.flush()
    return stream.buffer.getvalue()


SPEAKERS = {"stdout": console.say, "stderr": console.complain}


@pytest.mark.parametrize("name", SPEAKERS)
@pytest.mark.parametrize("stream", [None, closed(), Failing(OSError(28, "No space left")), Failing(OSError(5, "EIO"))])
def test_a_line_without_a_console_is_dropped(name, stream, monkeypatch):
    monkeypatch.setattr(sys, name, stream)
    SPEAKERS[name]("a line")


@pytest.mark.parametrize("name", SPEAKERS)
@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"\\xfc\\udcff\n"), ("utf-8", b"\xc3\xbc\\udcff\n")])
def test_a_character_that_cannot_be_shown_is_escaped(name, encoding, shown, monkeypatch):
    monkeypatch.setattr(sys, name, encoded(encoding))
    SPEAKERS[name]("ü\udcff")
    assert written(getattr(sys, name)) == shown


def test_a_reader_of_stdout_that_is_gone_is_told_to_the_program_and_one_of_stderr_is_not(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing(BrokenPipeError()))
    monkeypatch.setattr(sys, "stderr", Failing(BrokenPipeError()))
    with pytest.raises(BrokenPipeError):
        console.say("a line")
    console.complain("a line")


@pytest.mark.parametrize("name", SPEAKERS)
def test_an_object_that_can_only_write_is_enough(name, monkeypatch):
    lines = []
    stream = SimpleNamespace(write=lines.append)
    monkeypatch.setattr(sys, name, stream)
    SPEAKERS[name]("a line")
    assert lines == ["a line\n"]
    assert not console.is_terminal(stream)


def test_what_is_closed_or_absent_is_no_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert console.is_terminal(Terminal())
    assert not any(console.is_terminal(stream) for stream in (None, closed(), io.StringIO()))


def test_a_program_prints_whatever_its_console_and_finds_it_again_as_it_was(monkeypatch):
    text = encoded("ascii")
    for stdout, stderr in ((None, None), (closed(), closed()), (text, None)):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        with console.usable():
            sys.stdout.write("ü\n")
            sys.stderr.write("ü\n")
            argparse.ArgumentParser(description="ü").print_help()
        assert (sys.stdout, sys.stderr) == (stdout, stderr)
    assert written(text).startswith(b"\\xfc\n")
    assert text.errors == "strict"


def test_a_stream_that_a_program_closes_stays_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", encoded("ascii"))
    with console.usable():
        sys.stdout.close()
    assert sys.stdout.closed


def test_no_file_of_a_program_gets_the_number_of_a_closed_stream(tmp_path):
    """C code writes its messages to the file descriptor 2, whatever is there."""
    code = f"""
import os
from cudfkd.base import console
with console.usable():
    with open({str(tmp_path / "weights")!r}, "wb", buffering=0) as file:
        os.write(2, b"a message of C code")
        file.write(b"weights")
with open({str(tmp_path / "number")!r}, "w") as file:
    file.write(str(file.fileno()))
"""
    subprocess.run(f'exec "{sys.executable}" -c "$CODE" <&- >&- 2>&-', shell=True, env=os.environ | {"CODE": code})
    assert (tmp_path / "weights").read_bytes() == b"weights"
    assert int((tmp_path / "number").read_text()) > 2
