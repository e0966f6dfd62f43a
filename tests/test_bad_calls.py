"""Bad input to the library: settings of every method, losses that become NaN, a disk that is full at any write.

Commands are in test_bad_input; networks and data that do not fit each other beside the engine and the evaluation.
"""

import errno
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cudfkd
from cudfkd import ConfigError, CudfkdError, DataError, TrainingError, data, methods, models, teachers
from cudfkd.base import files
from cudfkd.runs.context import Context
from tests.cudfkd.engine.test_loop import held_out, networks, same
from tests.cudfkd.methods.tiny import config, distill
from tests.test_bad_input import listing, numeric

NAN, INF = float("nan"), float("inf")
OPTIONS = [(method, name) for method in methods.names() for name in numeric(methods.get(method).Options)]


@pytest.mark.parametrize("method", methods.names())
def test_the_default_settings_are_good(method):
    kind = methods.get(method).Options
    assert kind(**kind().model_dump()) == kind()


@pytest.mark.parametrize(("method", "name"), OPTIONS)
def test_a_number_that_is_none_is_refused(method, name):
    for value in (NAN, INF, -INF, -1, 10**39, 1e-50, "1"):
        with pytest.raises(ConfigError) as error:
            methods.get(method).Options(**{name: value})
        assert str(error.value).startswith(f"{name} = "), value


# A call that works, a bad argument, the error that it raises, and the text of its line


def run_folder(at: Path) -> Path:
    distill(config("cudfkd"), run_dir=at / "run")
    return at / "run"


def plain_weights(at: Path) -> Path:
    torch.save(models.build("lenet5").state_dict(), at / "plain.pt")
    return at / "plain.pt"


CALLS = {
    "distill": lambda at, **a: cudfkd.distill(*networks(), config("cudfkd"), **a),
    "get_or_run": lambda at, root="", **a: cudfkd.get_or_run(experiment(**a), root or at / "runs"),
    "load_run": lambda at, path=None, **a: cudfkd.load_run(path or run_folder(at), **a),
    "load_teacher": lambda at, **a: cudfkd.load_teacher(**{"dataset": "fashion-mnist", "model": "lenet5"} | a),
    "read_teacher": lambda at, stem=data.ASSETS / "fashion-mnist" / "lenet5-seed0": teachers.read_teacher(stem),
    "from_weights": lambda at, **a: teachers.from_weights(
        **{"file": plain_weights(at), "arch": "lenet5", "dataset": "fashion-mnist"} | a
    ),
    "evaluate": lambda at, dataset=None, **a: cudfkd.evaluate(*networks(), dataset or held_out(), **a),
    "load": lambda at, **a: data.load(**{"name": "fashion-mnist", "split": "dev"} | a),
    "build": lambda at, **a: models.build(**{"name": "lenet5"} | a),
    "generator": lambda at, **a: models.Generator(**a),
}


def experiment(**changes) -> cudfkd.Experiment:
    tiny = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "options": {"generator_width": 2}}
    return cudfkd.Experiment(distill=cudfkd.DistillConfig(**tiny), **changes)


@pytest.mark.parametrize("call", CALLS)
def test_the_call_works(call, tmp_path):
    CALLS[call](tmp_path)


@pytest.mark.parametrize(
    ("call", "spoiled", "kind", "told"),
    [
        ("distill", {"run_dir": "/dev/null/run"}, DataError, "/dev/null/run cannot be written (Not a directory)"),
        ("distill", {"run_dir": "a\0b"}, DataError, r"a\x00b cannot be written (embedded null byte)"),
        ("distill", {"stop_after": -5, "run_dir": "x"}, ConfigError, "stop_after = -5 is not allowed"),
        ("distill", {"stop_after": 5}, ConfigError, "stop_after = 5 needs run_dir"),
        ("distill", {"train_on": held_out()}, ConfigError, "method cudfkd is data-free: leave train_on out"),
        ("distill", {"evaluate_on": held_out(size=20)}, ConfigError, "image_size = 16 is not that of evaluate_on, 20"),
        ("distill", {"evaluate_on": held_out(channels=3)}, ConfigError, "channels = 1 is not that of evaluate_on, 3"),
        ("evaluate", {"device": "gpu"}, ConfigError, "device = 'gpu' is not allowed: it must be cpu"),
        ("evaluate", {"device": "cuda:99"}, ConfigError, "device = 'cuda:99' is not on this machine"),
        ("evaluate", {"mean": (0.1, 0.2)}, ConfigError, "mean = (0.1, 0.2) has 2 numbers: it must have 1, one a chan"),
        ("evaluate", {"std": (0.0,)}, ConfigError, "std = (0.0,) is not allowed: its numbers must be greater than 0"),
        ("evaluate", {"dataset": held_out(size=4)}, ConfigError, "the student does not take images of shape (1, 4, 4)"),
        ("get_or_run", {"root": "/dev/null"}, DataError, "cannot be written (Not a directory)"),
        ("get_or_run", {"teacher_seed": 7}, ConfigError, "unknown teacher 'fashion-mnist lenet5 seed 7'"),
        ("load_run", {"path": "/none"}, DataError, "/none is no run folder"),
        ("load_run", {"path": "a\0b"}, DataError, r"a\x00b is no run folder"),
        ("load_run", {"epoch": 1}, ConfigError, "epoch = 1 was not kept"),
        ("load_run", {"epoch": -1}, ConfigError, "epoch = -1 was not kept"),
        ("load_run", {"student": models.build("lenet5-half")}, ConfigError, "not those of the given student"),
        ("load_teacher", {"dataset": "mnist"}, ConfigError, "unknown teacher 'mnist lenet5 seed 0'"),
        ("load_teacher", {"seed": -1}, ConfigError, "unknown teacher 'fashion-mnist lenet5 seed -1'"),
        ("read_teacher", {"stem": Path("/none")}, DataError, "/none.json is missing or not a teacher's card"),
        ("from_weights", {"file": "/none.pt"}, ConfigError, "there is no teacher /none.pt: name the file"),
        ("from_weights", {"arch": "lenet6"}, ConfigError, "unknown model 'lenet6': did you mean 'lenet5'?"),
        ("from_weights", {"dataset": "mnist"}, ConfigError, "unknown data set 'mnist'"),
        ("load", {"name": "mnist"}, ConfigError, "unknown data set 'mnist': did you mean 'fashion-mnist'?"),
        ("load", {"split": "validation"}, ConfigError, "unknown split 'validation': known: dev, test, train"),
        ("load", {"split": "train", "data_root": "/none"}, DataError, "no train-images-idx3-ubyte in /none"),
        ("build", {"name": "lenet6"}, ConfigError, "unknown model 'lenet6': did you mean 'lenet5'?"),
        ("build", {"image_size": 8}, ConfigError, "image_size = 8 is not allowed: lenet5 needs 16 pixels or more"),
        ("generator", {"image_size": 30}, ConfigError, "image_size = 30 is not allowed"),
    ],
)  # fmt: skip
def test_one_spoiled_argument_is_one_line(call, spoiled, kind, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CudfkdError) as error:
        CALLS[call](tmp_path, **spoiled)
    assert type(error.value) is kind
    assert told in str(error.value)
    assert str(error.value).isprintable()
    writes = ("load_run", "from_weights")  # their bases write what they load
    assert call in writes or listing(tmp_path) == {}


# Losses that become NaN


def terms_of(method: str, monkeypatch) -> list[str]:
    """The loss terms of a method's second epoch."""
    seen: dict[str, int] = defaultdict(int)
    original = Context.step_down

    def watched(self, optimizer, terms, *clip):
        for name in terms:
            seen[name] += self.epoch == 1
        original(self, optimizer, terms, *clip)

    with monkeypatch.context() as patch:
        patch.setattr(Context, "step_down", watched)
        distill(config(method))
    return [name for name, times in seen.items() if times]


@pytest.mark.parametrize("method", methods.names())
def test_a_term_that_becomes_nan_is_named_and_the_last_checkpoint_goes_on(method, tmp_path, monkeypatch):
    c = config(method)
    unbroken = distill(c)
    original, terms = Context.step_down, terms_of(method, monkeypatch)
    assert "objective" in terms
    assert len(terms) > 1 or not methods.get(method).ABOUT.generates
    for term in terms:

        def spoiled(self, optimizer, terms, *clip, term=term):
            bad = self.epoch == 1 and term in terms
            original(self, optimizer, terms | {term: terms[term] * NAN} if bad else terms, *clip)

        monkeypatch.setattr(Context, "step_down", spoiled)
        with pytest.raises(TrainingError) as error:
            distill(c, run_dir=tmp_path / term)
        monkeypatch.setattr(Context, "step_down", original)
        line = str(error.value)
        assert line.startswith("not finite after ")
        assert f" {term}" in line.split(";")[0]
        assert f"epoch 1 was the last good one, its checkpoint is in {tmp_path / term}" in line
        assert len(cudfkd.load_run(tmp_path / term).rows) == 1
        assert same(distill(c, run_dir=tmp_path / term, resume=True).student, unbroken.student)


# A full disk


def test_a_disk_that_is_full_at_any_write_loses_nothing(tmp_path, monkeypatch):
    """Each write of a run in turn has no room on the disk. A disk reports this at `fsync` at the latest."""
    c = config("cudfkd", keep_epochs=(1,))
    unbroken = distill(c)
    original, count, full = files.os.fsync, [0], 0

    def no_room(at):
        def fsync(descriptor):
            count[0] += 1
            if count[0] == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            original(descriptor)

        return fsync

    for at in range(1, 100):
        count[0], folder = 0, tmp_path / str(at)
        monkeypatch.setattr(files.os, "fsync", no_room(at))
        line = line_of(lambda folder=folder: distill(c, run_dir=folder))
        monkeypatch.setattr(files.os, "fsync", original)
        if not line:
            break
        full += 1
        assert line.endswith("cannot be written (No space left on device): choose another folder or make room")
        assert not list(folder.glob(".*.partial"))
        assert folder.exists() == (at > 3)  # what could not even be started leaves nothing
        run = distill(c, run_dir=folder, resume=True)
        assert same(run.student, unbroken.student), at
        assert same(run.generator, unbroken.generator), at
    assert full == 1 + 2 + 2 * 3 + 2 + 3  # description, start, epochs, kept weights, end


def line_of(call: Callable[[], object]) -> str:
    """What a call says that cannot write; nothing if it can."""
    try:
        call()
    except DataError as error:
        return str(error)
    return ""
