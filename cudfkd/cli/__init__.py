"""The command line: `cudfkd distill | teacher | evaluate | methods | doctor | completion`.

Options are flat and come from the fields of the descriptions, so that no value is declared or checked twice.

    exit code   case
    0           success
    1           a run stopped itself (a loss not finite, a dead curriculum), with one line; doctor reports a bad state
    2           bad input or out of memory, with one line on stderr
    130         interrupted by the user
    141         the reader of stdout is gone
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from cudfkd import data, methods, models, teachers
from cudfkd.base import command, ranks
from cudfkd.base.command import Parser
from cudfkd.base.console import say as _say
from cudfkd.base.errors import ConfigError, TrainingError, unknown
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.base.version import __version__
from cudfkd.cli import flags
from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.engine import experiments
from cudfkd.engine.progress import Progress
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import Evaluation, evaluate
from cudfkd.runs.fingerprint import fingerprint
from cudfkd.runs.records import read_description
from cudfkd.teachers import recipes, training

PLAIN_WEIGHTS = (
    "architecture of --teacher, if it is a file of plain weights without a card (.safetensors, .pt, .pth, .bin, .ckpt):"
    " a name as for --student; images are normalised with the data set's mean and std, as for every teacher"
)

_DATA = f"{', '.join(data.names())}; or the path of a folder of images: train/CLASS/* and test/CLASS/*, or CLASS/*"


class _Help(argparse.HelpFormatter):
    """The help format of argparse, with an option's default in [] after its text."""

    def _get_help_string(self, action: argparse.Action) -> str:
        shown = action.default not in (None, "", argparse.SUPPRESS) and action.default is not False
        return f"{action.help} [%(default)s]" if shown else str(action.help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    kept = any(word.startswith("--out") for word in words)
    line = "interrupted; a run with --out goes on from its last epoch with --resume" if kept else "interrupted"
    return command.run("cudfkd", lambda: _run(words), failures=(TrainingError,), interrupted=line)


def _run(words: list[str]) -> int | None:
    if words[:1] == ["--version"]:
        _say(__version__)
        return 0
    if words and words[0] not in (*COMMANDS, "-h", "--help"):
        raise ConfigError(unknown("command", words[0], COMMANDS))
    parsed, extra = _parser().parse_known_args(words or ["--help"])
    if extra:
        raise ConfigError(unknown("option", extra[0].split("=")[0], parsed.options))
    try:
        return parsed.run(parsed)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        size = _requested_size(error)
    raise ConfigError(f"out of memory ({size}): lower the batch size or the widths")


def _parser() -> Parser:
    parser = Parser(prog="cudfkd", description="Data-free knowledge distillation.", formatter_class=_Help)
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for name, add in COMMANDS.items():
        inner = commands.add_parser(name, help=add.__doc__, description=add.__doc__, formatter_class=_Help)
        add(inner)
        inner.set_defaults(options={option for option in inner._option_string_actions if option[:2] == "--"})
    return parser


def _add_distill(parser: argparse.ArgumentParser) -> None:
    """distill one of our teachers without data, evaluating on held-out images"""
    parser.add_argument("--data", default="fashion-mnist", help=f"evaluation data: {_DATA}")
    parser.add_argument("--data-root", type=flags.path, help="folder with the data set, if it does not ship")
    parser.add_argument("--teacher", default="lenet5", help="a teacher that ships, or the file of your own teacher")
    parser.add_argument("--teacher-seed", type=flags.whole, default=0, help="training seed of a teacher that ships")
    parser.add_argument("--teacher-arch", metavar="NAME", default="", help=PLAIN_WEIGHTS)
    parser.add_argument("--student", default="lenet5-half", help=", ".join(models.names()))
    parser.add_argument("--out", type=flags.path, help="new folder for the run; without it nothing is written")
    _add_resume(parser)
    parser.add_argument("--method", default="cudfkd", help=", ".join(methods.names()))
    for kind in (DistillConfig, Curriculum):
        flags.add_fields(parser, kind, leave_out={"method", "curriculum", "options"})
    flags.add_method_options(parser)
    parser.epilog = (
        "Defaults are in []. If cudfkd and other methods have the same setting, the text describes cudfkd's setting."
        " Numbers in () are the values in the scripts of the method's authors."
    )
    parser.set_defaults(run=_distill)


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--stop-after",
        type=flags.minutes,
        metavar="MINUTES",
        help="stop at a checkpoint before so many minutes are over; --resume goes on from it",
    )


def _distill(args: argparse.Namespace) -> None:
    for option in ("resume", "stop_after"):
        if getattr(args, option) and args.out is None:
            raise ConfigError(f"--{option.replace('_', '-')} needs --out: the folder of the run to go on with")
    options = flags.options_of_method(args)
    values = flags.given(args, DistillConfig) | {"method": args.method, "options": options or None}
    if curriculum := flags.given(args, Curriculum):
        values["curriculum"] = Curriculum(**curriculum)
    config = DistillConfig(**values)
    experiment = Experiment(
        data=args.data, teacher=args.teacher, teacher_seed=args.teacher_seed, teacher_arch=args.teacher_arch,
        student=args.student, distill=config,
    )  # fmt: skip
    with ranks.started(config.device), Progress(_say) as progress:
        done = experiments.run(
            experiment, args.out, resume=args.resume, callbacks=[progress], stop_after=args.stop_after,
            data_root=args.data_root,
        )  # fmt: skip
        if ranks.Ranks.here().leads:
            _report(done, data.evaluation_split(args.data))


def _report(done: Run, split: str) -> None:
    if not done.summary:
        _say(f"stopped after epoch {done.rows[-1]['epoch']} of {done.config.epochs}: go on with --resume")
        return
    if "accuracy" in done.summary:  # a finished run that Python code made without evaluation has no accuracy
        _say(f"accuracy of the last epoch on {split}: {_interval(done.summary['accuracy'])}")
    if done.path:
        _say(f"run folder: {done.path}")


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    """train a teacher, and compare it with the teacher that ships"""
    parser.add_argument("--data", default="fashion-mnist", help=f"training data: {_DATA}")
    parser.add_argument("--model", default="lenet5", help=", ".join(models.names()))
    parser.add_argument("--seed", type=flags.whole, default=0, help="seed of weights, order and augmentation")
    parser.add_argument("--out", type=flags.path, required=True, help="folder for weights and card")
    parser.add_argument("--data-root", type=flags.path, help="folder with the training images of a set with a name")
    parser.add_argument(
        "--image-size", type=flags.pixels, metavar="X", help="pixels a side to which a folder's images are brought"
    )
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:N or mps")
    _add_resume(parser)
    parser.add_argument("--recipe", default="default", help=f"{', '.join(recipes.names())}; options below change it")
    flags.add_fields(parser, recipes.Recipe)
    parser.set_defaults(run=_teacher)


def _teacher(args: argparse.Namespace) -> None:
    named = recipes.get(args.recipe, args.data)
    recipe = recipes.Recipe(**named.model_dump() | flags.given(args, recipes.Recipe))
    epochs = []

    def tell(epoch: int, loss: float, accuracy: float) -> None:
        epochs.append(epoch)
        _say(f"epoch {epoch:>3}  loss {loss:.4f}  dev accuracy {accuracy:.4f}")

    size = {} if args.image_size is None else {"image_size": args.image_size}
    card = training.train_teacher(
        args.data, args.model, args.seed, out=args.out, recipe=recipe, data_root=args.data_root, **size,
        device=args.device, on_epoch=tell, resume=args.resume, stop_after=args.stop_after,
    )  # fmt: skip
    if not card:
        _say(f"stopped after epoch {epochs[-1]} of {recipe.epochs}: go on with --resume")
        return
    _say(f"accuracy: dev {card['accuracy']['dev']:.4f}, test {card['accuracy']['test']:.4f}")
    if args.recipe == "paper" and (published := recipes.ACCURACIES.get(args.data, {}).get(args.model)):
        _say(f"the paper's teacher: test {published:.4f}")
    if (args.data, args.model, args.seed) in teachers.shipped():
        ships = teachers.shipped_card(args.data, args.model, args.seed)
        dev, test = ships["accuracy"]["dev"], ships["accuracy"]["test"]
        _say(f"the one that ships: dev {dev:.4f}, test {test:.4f}; {_likeness(ships, card)}")


def _likeness(ships: dict, card: dict) -> str:
    """Compares a teacher with the teacher that ships, by their cards: weights, then recipes."""
    if card["sha256"] == ships["sha256"]:
        return "the same weights"
    # Recipe(...) adds the defaults of settings that older cards do not have
    same = recipes.Recipe(**card["recipe"]) == recipes.Recipe(**ships["recipe"])
    return "other weights (rounding differs by machine)" if same else "another recipe"


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    """accuracy, agreement and loyalty of a run's student against its teacher"""
    parser.add_argument("path", type=flags.path, metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="dev", help="dev for choices; test for the number that is reported")
    parser.add_argument("--data", help=f"default: the run's; one of {_DATA}")
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
        _say(f"{name:<18}{getattr(scores, name)}")


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
        _say(f"{name} has no dev: evaluation is on its images in {split}/")
    return data.load(name, split, args.data_root, size), size


def _add_methods(parser: argparse.ArgumentParser) -> None:
    """list the methods: paper, recorded seconds and MB of a quick run, and needs of each"""
    parser.set_defaults(run=_methods)


def _methods(args: argparse.Namespace) -> None:  # noqa: ARG001
    costs, rows = methods.costs(), [("method", "paper", "seconds", "MB", "needs")]
    for name in methods.names():
        about, cost = methods.get(name).ABOUT, costs.get(name)
        seconds, memory = (f"{cost['seconds']:.0f}", f"{cost['peak_memory_mb']:.0f}") if cost else ("-", "-")
        rows.append((name, about.paper, seconds, memory, about.needs))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        _say("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]))


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    """check versions, devices, data sets and assets, for the case that something does not work"""
    parser.add_argument("--data-root", type=flags.path, help="folder with data sets")
    parser.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from cudfkd.cli import doctor

    lines, healthy = doctor.lines(args.data_root)
    for line in lines:
        _say(line)
    return 0 if healthy else 1


def _add_completion(parser: argparse.ArgumentParser) -> None:
    """a script that lets a shell complete commands, options and names: eval "$(cudfkd completion bash)" """
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(run=_completion)


def _completion(args: argparse.Namespace) -> None:
    from cudfkd.cli import completion

    _say(completion.script(_parser(), args.shell))


def _requested_size(error: Exception) -> str:
    """Says how much memory was asked for, from torch's message such as "you tried to allocate 8192 bytes"."""
    amount = re.search(r"ried to allocate ([\d.]+ \w+)", str(error))
    return f"{amount[1]} asked for" if amount else "more was asked for than there is"


def _interval(estimate: dict) -> str:
    return f"{estimate['value']:.4f} (95 % interval {estimate['low']:.4f} to {estimate['high']:.4f})"


COMMANDS = {
    "distill": _add_distill, "teacher": _add_teacher, "evaluate": _add_evaluate, "methods": _add_methods,
    "doctor": _add_doctor, "completion": _add_completion,
}  # fmt: skip
