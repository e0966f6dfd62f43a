"""Several processes and threads ask for one run: one trains it, and all others wait for it."""

import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
import torch

import cudfkd
from cudfkd import ConfigError
from cudfkd.base.ranks import Ranks
from cudfkd.callbacks import Callback
from cudfkd.engine import experiments
from cudfkd.runs import lock
from tests.cudfkd.engine.test_loop import same
from tests.processes import processes

EPOCHS = 3
WAITS = "is being written by another process: waiting for its end"


def experiment():
    tiny = {"steps_per_epoch": 2, "round_steps": 2, "batch_size": 4, "options": {"generator_width": 2}}
    return cudfkd.Experiment(distill=cudfkd.DistillConfig(epochs=EPOCHS, **tiny))


class Pause(Callback):
    """Tells that the run trains, and pauses it before an epoch until it is told to go on."""

    def __init__(self, root, name, epoch, end):
        self.root, self.name, self.epoch, self.end = root, name, epoch, end

    def before_run(self, ctx):
        (self.root / f"{self.name} trains").touch()

    def before_epoch(self, ctx):
        if ctx.epoch == self.epoch:
            (self.root / f"{self.name} pauses").touch()
            while not (self.root / f"{self.name} goes on").exists():
                sleep(0.01)
            if self.end == "error":
                raise OSError("no more")


def ask(root, name, epoch, end):
    """The program of a process: it asks for the run and writes its last epoch. The console is two files in `root`."""
    for stream, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(root / f"{name}.{kind}", os.O_WRONLY | os.O_CREAT), stream)
    torch.set_num_threads(1)
    warnings.simplefilter("always")
    run = cudfkd.get_or_run(experiment(), root / "runs", [Pause(root, name, epoch, end)])
    sys.stdout.write(f"{run.summary['epoch']}\n")


class Asking:
    """A process that asks for the run. If it trains, it pauses before an epoch until it is told to go on."""

    def __init__(self, root, name, epoch=-1, end=""):
        self.root, self.name = root, name
        self.process = processes().Process(target=ask, args=(root, name, epoch, end))
        self.process.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.join()

    def said(self, kind):
        """What the process has written so far, to "out" or "err"."""
        file = self.root / f"{self.name}.{kind}"
        return file.read_text() if file.exists() else ""

    def until(self, condition):
        """Waits for a condition, as long as the process lives."""
        while not condition():
            assert self.process.is_alive(), self.said("err")
            sleep(0.01)

    def waits(self):
        """Waits until the process says that it waits; returns its line."""
        self.until(lambda: "\n" in self.said("err"))
        return self.said("err").splitlines()[0]

    def ended(self):
        """Waits for the end; returns both streams."""
        self.process.join()
        return self.said("out"), self.said("err")


@contextmanager
def paused(root, epoch, end=""):
    """A process that holds the run before an epoch."""
    with Asking(root, "first", epoch, end) as process:
        process.until((root / "first pauses").exists)
        yield process


@pytest.fixture(scope="module")
def unbroken():
    return experiments.run(experiment())


@pytest.fixture
def run_folder(tmp_path):
    return tmp_path / "runs" / experiment().key


def test_all_who_ask_get_the_run_that_one_of_them_trains(tmp_path, run_folder, unbroken):
    with paused(tmp_path, 1) as first, Asking(tmp_path, "second") as second, Asking(tmp_path, "third") as third:
        for process in (second, third):
            assert f"{run_folder} {WAITS}" in process.waits()
        (tmp_path / "first goes on").touch()
        for process in (first, second, third):
            assert process.ended()[0] == f"{EPOCHS}\n"
            assert process.process.exitcode == 0
    assert [path.name for path in tmp_path.glob("* trains")] == ["first trains"]
    assert same(cudfkd.load_run(run_folder).student, unbroken.student)


def test_a_run_whose_writer_was_killed_goes_on_in_one_of_those_who_wait(tmp_path, run_folder, unbroken):
    with paused(tmp_path, 2) as first, Asking(tmp_path, "second") as second, Asking(tmp_path, "third") as third:
        for process in (second, third):
            assert WAITS in process.waits()
        first.process.kill()
        for process in (second, third):
            assert process.ended()[0] == f"{EPOCHS}\n"
    assert len(list(tmp_path.glob("* trains"))) == 2
    assert same(cudfkd.load_run(run_folder).student, unbroken.student)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_run_that_ended_with_an_error_is_tried_again_by_who_waits(epoch, tmp_path, run_folder, unbroken):
    with paused(tmp_path, epoch, "error") as first, Asking(tmp_path, "second") as second:
        assert WAITS in second.waits()
        (tmp_path / "first goes on").touch()
        assert "no more" in first.ended()[1]
        assert second.ended()[0] == f"{EPOCHS}\n"
    assert same(cudfkd.load_run(run_folder).student, unbroken.student)


def test_a_folder_that_its_writer_removes_is_made_again(tmp_path, run_folder, unbroken, monkeypatch):
    """A run that fails before its start is saved leaves no folder."""
    from cudfkd.base.errors import DataError
    from cudfkd.runs.folder import RunFolder

    waits, fails = threading.Event(), threading.Event()
    original = RunFolder.save_start

    def save_start(self, state):
        if not fails.is_set():
            fails.set()
            assert waits.wait(60)
            raise DataError("the disk is full")
        original(self, state)

    monkeypatch.setattr(RunFolder, "save_start", save_start)
    monkeypatch.setattr(lock, "sleep", lambda seconds: (waits.set(), sleep(0.01)))
    errors = []

    def first():
        try:
            cudfkd.get_or_run(experiment(), tmp_path / "runs")
        except DataError as error:
            errors.append(str(error))

    thread = threading.Thread(target=first)
    thread.start()
    assert fails.wait(60)
    with pytest.warns(UserWarning, match=WAITS):
        run = cudfkd.get_or_run(experiment(), tmp_path / "runs")
    thread.join()
    assert errors == ["the disk is full"]
    assert same(run.student, unbroken.student)


def test_who_waits_can_be_interrupted_and_the_run_goes_on(tmp_path, run_folder):
    with paused(tmp_path, 1) as first, Asking(tmp_path, "second") as second:
        assert WAITS in second.waits()
        os.kill(second.process.pid, signal.SIGINT)
        assert second.ended()[1].endswith("KeyboardInterrupt\n")
        (tmp_path / "first goes on").touch()
        assert first.ended()[0] == f"{EPOCHS}\n"
    assert {path.name for path in run_folder.glob("*.json")} == {"config.json", "experiment.json", "summary.json"}


class Asks(Callback):
    """Asks for the run from inside it."""

    def __init__(self, root):
        self.root = root

    def before_epoch(self, ctx):
        with pytest.raises(
            ConfigError, match="is being written by the run whose callback asks for it: ask after its end"
        ):
            cudfkd.get_or_run(experiment(), self.root)


def test_a_run_does_not_wait_for_itself(tmp_path, unbroken):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = cudfkd.get_or_run(experiment(), tmp_path, [Asks(tmp_path)])
    assert same(run.student, unbroken.student)


class Starts(Callback):
    """Starts threads that ask for the run, and lets it go on when they wait."""

    def __init__(self, root, waiting):
        self.runs, self.waiting = [], waiting
        ask = lambda: self.runs.append(cudfkd.get_or_run(experiment(), root))  # noqa: E731
        self.threads = [threading.Thread(target=ask) for _ in range(2)]

    def before_epoch(self, ctx):
        if ctx.epoch == 1:
            for thread in self.threads:
                thread.start()
            while len(self.waiting) < 2:
                sleep(0.01)


def test_threads_of_one_process_wait_for_each_other(tmp_path, unbroken, monkeypatch):
    waiting = set()
    monkeypatch.setattr(lock, "sleep", lambda seconds: (waiting.add(threading.get_ident()), sleep(0.01)))
    starts = Starts(tmp_path, waiting)
    with warnings.catch_warnings(record=True) as caught:
        starts.runs.append(cudfkd.get_or_run(experiment(), tmp_path, [starts]))
        for thread in starts.threads:
            thread.join()
    assert any(WAITS in str(warning.message) for warning in caught)
    assert len(starts.runs) == 3
    assert all(same(run.student, unbroken.student) for run in starts.runs)


def test_two_that_begin_at_the_same_moment_share_the_run(tmp_path, unbroken, monkeypatch):
    """The folder is free when each looks, and busy when the slower one claims it."""
    looks = iter([False])
    with paused(tmp_path, 1) as first:
        real = experiments.is_busy
        monkeypatch.setattr(experiments, "is_busy", lambda path: next(looks, None) is not None or real(path))
        monkeypatch.setattr(lock, "sleep", lambda seconds: ((tmp_path / "first goes on").touch(), sleep(0.01)))
        with pytest.warns(UserWarning, match=WAITS):
            run = cudfkd.get_or_run(experiment(), tmp_path / "runs")
        assert first.ended()[0] == f"{EPOCHS}\n"
    assert same(run.student, unbroken.student)


def test_ranks_do_not_wait(tmp_path, monkeypatch):
    asked = []

    def refused(*arguments, **options):
        asked.append(arguments)
        raise lock.BusyError("busy")

    monkeypatch.setattr(experiments, "run", refused)
    monkeypatch.setattr(Ranks, "here", lambda: Ranks(0, 2))
    with pytest.raises(lock.BusyError):
        cudfkd.get_or_run(experiment(), tmp_path)
    assert len(asked) == 1


def test_a_folder_that_the_user_chose_is_refused_at_once(tmp_path, run_folder):
    with paused(tmp_path, 1):
        before = monotonic()
        with pytest.raises(ConfigError, match="is being written by another process: choose another folder"):
            experiments.run(experiment(), run_folder, resume=True)
        assert monotonic() - before < 60
        words = f"-m cudfkd.cli distill --resume --out {run_folder}".split()
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=os.environ)
        assert done.stderr == f"cudfkd: {run_folder} is being written by another process: choose another folder\n"
        assert done.returncode == 2
