"""The command `cudfkd doctor`, a report on this machine: versions, devices, assets, data sets, and space for runs.

No function here raises an error for a broken installation, reads a data set that does not ship, downloads, or leaves a
file behind. Each finding has a state:

    ok         it works
    missing    it is absent, but optional
    bad        it should work and does not
"""

import argparse
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from cudfkd import data, teachers
from cudfkd.base.console import say
from cudfkd.base.errors import CudfkdError
from cudfkd.base.version import __version__
from cudfkd.cli import flags
from cudfkd.data.places import asked_for, import_torchvision, there

ENOUGH = 100_000_000  # free bytes that the disk of the runs should have


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cudfkd doctor`."""
    parser.add_argument("--data-root", type=flags.path, help="folder with data sets")
    parser.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    report, healthy = lines(args.data_root)
    for line in report:
        say(line)
    return 0 if healthy else 1


class Finding(NamedTuple):
    """One line of the report.

    state: see the module.
    subject: name of the checked object.
    text: result of the check; for a problem, the problem and its remedy.
    """

    state: Literal["ok", "missing", "bad"]
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<8} {self.subject:<27} {self.text}"


class Report(NamedTuple):
    """The findings of `examine`."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no finding is bad; optional objects may be missing."""
        return all(finding.state != "bad" for finding in self.findings)


def examine(data_root: str | Path | None = None, out: str | Path | None = None) -> Report:
    """Runs all checks.

    Arguments:
        data_root: folder of the data sets, see `cudfkd.data`.
        out: folder for runs, which may not exist yet; None: the working folder.
    """
    return Report((*_versions(), *_devices(), *_assets(), *_data_sets(data_root), _output(Path(out or Path.cwd()))))


def lines(data_root: str | Path | None = None, out: str | Path | None = None) -> tuple[list[str], bool]:
    """Returns the report as lines of text, and whether it is healthy. Its arguments are the arguments of `examine`."""
    report = examine(data_root, out)
    return [str(finding) for finding in report.findings], report.healthy


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "cudfkd", __version__)
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("ok", "torch", torch.__version__)
    yield _attempt("torchvision", lambda: import_torchvision().__version__)
    try:
        yield Finding("ok", "scipy", version("scipy"))
    except PackageNotFoundError:
        yield Finding("missing", "scipy", "among the data sets only SVHN needs it: pip install scipy")


def _devices() -> Iterator[Finding]:
    yield Finding("ok", "cpu", f"{os.cpu_count()} cores, of which torch uses {torch.get_num_threads()}")
    with warnings.catch_warnings(
        record=True
    ) as caught:  # if CUDA is not available, a warning of torch gives the reason
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield from (_cuda(index) for index in range(count))
    if count == 0:
        built = "no such device" if torch.version.cuda else "this torch is built without it"
        why = next((_line(warning.message) for warning in caught if issubclass(warning.category, UserWarning)), built)
        yield Finding("missing", "cuda", f"{why}: runs go on the CPU")
    if torch.backends.mps.is_available():
        yield Finding("ok", "mps", f"up to {_size(torch.mps.recommended_max_memory())}")


def _cuda(index: int) -> Finding:
    try:
        name, (free, total) = torch.cuda.get_device_name(index), torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        text = f"is there but cannot be used ({_line(error)}): see nvidia-smi, and whether its driver fits this torch"
        return Finding("bad", f"cuda:{index}", text)
    return Finding("ok", f"cuda:{index}", f"{name}, {_size(free)} of {_size(total)} free")


def _assets() -> Iterator[Finding]:
    """Compares each file that ships with its hash."""
    for split in ("dev", "test"):
        yield _attempt(f"fashion-mnist {split}", lambda split=split: _count(data.load("fashion-mnist", split)))
    stems = sorted({path.with_suffix("") for ending in ("json", "safetensors") for path in _shipped(f"*.{ending}")})
    for stem in stems:
        yield _attempt(f"{stem.parent.name} {stem.name}", lambda stem=stem: _teacher(stem))
    if not stems:
        yield Finding("bad", "teachers", f"none in {data.ASSETS}: reinstall cudfkd")


def _shipped(pattern: str) -> Iterator[Path]:
    return data.ASSETS.glob(f"*/{pattern}")


def _count(images: data.ImageSet) -> str:
    return f"ships: {len(images):,} images, verified"


def _teacher(stem: Path) -> str:
    teachers.read_teacher(stem)
    return "ships: weights verified"


def _data_sets(data_root: str | Path | None) -> Iterator[Finding]:
    root = asked_for(data_root)
    if root is not None:
        folder = there(root)
        if folder is not None and folder.is_dir():
            yield Finding("ok", "data root", str(root))
        else:
            yield Finding("bad", "data root", f"{root} is no folder: correct --data-root or CUDFKD_DATA")
    for name in data.names():
        yield _data_set(data.source(name), data_root)


def _data_set(source: data.Source, data_root: str | Path | None) -> Finding:
    """Checks that the files of a data set exist. Their content is checked when they are read."""
    needed = [split for split in data.SPLITS if source.files(split)]
    subject = " ".join([source.info.name, *(needed if len(needed) < len(data.SPLITS) else [])])
    place = source.locate(data_root)
    if place.folder is not None and not place.missing:
        return Finding("ok", subject, f"in {place.folder}")
    if place.folder is not None:
        return Finding("missing", subject, f"{place.folder / place.missing[0]} is not there: {source.advice}")
    fetched = asked_for(data_root) is None and type(source).download is not data.Source.download
    return Finding("missing", subject, f"{'downloaded at first use; or ' if fetched else ''}{source.advice}")


def _output(folder: Path) -> Finding:
    """Checks that a run can be written into a folder, which may not exist yet."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(1 << 20))
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding("bad", "output", f"{folder} cannot be written ({error.strerror}): choose another folder")
    if free < ENOUGH:
        return Finding("bad", "output", f"{folder} has {_size(free)} free: make room or choose another folder")
    return Finding("ok", "output", f"{folder} can be written, {_size(free)} free")


def _attempt(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", subject, look())
    except CudfkdError as error:
        return Finding("bad", subject, str(error))
    except OSError as error:
        return Finding("bad", subject, f"cannot be read ({_line(error)}): reinstall cudfkd")


def _line(error: object) -> str:
    return " ".join(str(error).split())[:150]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
