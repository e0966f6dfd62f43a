"""The command `cudfkd evaluate`."""

import argparse
from typing import Any

from cudfkd import data, teachers
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError
from cudfkd.cli import flags
from cudfkd.cli.shared import DATA, PLAIN_WEIGHTS
from cudfkd.engine import experiments
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import Evaluation, evaluate
from cudfkd.runs.fingerprint import fingerprint
from cudfkd.runs.records import read_description


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cudfkd evaluate`."""
    parser.add_argument("path", type=flags.path, metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="dev", help="dev for choices; test for the number that is reported")
    parser.add_argument("--data", help=f"default: the run's; one of {DATA}")
    parser.add_argument("--data-root", type=flags.path, help="folder with the data set, if it does not ship")
    parser.add_argument("--teacher", help="default: the run's")
    parser.add_argument("--teacher-seed", type=flags.whole, help="default: the run's")
    parser.add_argument("--teacher-arch", metavar="NAME", help=f"{PLAIN_WEIGHTS}; default: the run's, for its teacher")
    parser.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    values = {name: getattr(args, name) for name in ("data", "teacher", "teacher_seed", "teacher_arch")}
    explicit = {name: value for name, value in values.items() if value is not None}
    finished = load_run(args.path)
    named = {"data", "teacher"} <= explicit.keys()
    names: dict[str, Any] = {"teacher_seed": 0} if named else experiments.names(args.path)
    if args.teacher is not None:  # another teacher has another architecture
        names["teacher_arch"] = ""
    names |= explicit
    dataset, size = _evaluation_images(args, names, finished)
    teacher = teachers.named(names["data"], names["teacher"], names["teacher_seed"], names["teacher_arch"], size)
    if not explicit and fingerprint(teacher) != read_description(args.path)["teacher_sha256"]:
        raise ConfigError(f"{names['teacher']} is not the teacher of {args.path} any more: name one with --teacher")
    scores = evaluate(finished.student, teacher, dataset, finished.config.mean, finished.config.std)
    for name in Evaluation._fields:
        say(f"{name:<18}{getattr(scores, name)}")


def _evaluation_images(args: argparse.Namespace, names: dict[str, Any], done: Run) -> tuple[data.ImageSet, int | None]:
    """Loads the images of `cudfkd evaluate`; also returns the size asked for, which only a folder of images has."""
    name, split = names["data"], args.split
    if not data.is_folder(name):
        return data.load(name, split, args.data_root), None
    size = done.config.image_size
    content = names.get("data_content")
    if args.data is None and content and getattr(data.info(name, size), "sha256", None) != content:
        raise ConfigError(f"{name} holds other images than in the run {args.path}: name it with --data if you mean it")
    if split == "dev" and data.evaluation_split(name) != split:
        split = data.evaluation_split(name)
        say(f"{name} has no dev: evaluation is on its images in {split}/")
    return data.load(name, split, args.data_root, size), size
