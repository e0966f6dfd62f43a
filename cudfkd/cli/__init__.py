"""The command line: `cudfkd distill | teacher | evaluate | methods | doctor | completion`. Bad input: one line on
stderr, exit code 2.

Options are flat and come from the fields of the descriptions themselves, so that nothing is declared or checked twice.
A run that stops itself (a loss not finite, a dead curriculum) ends with one line and exit code 1.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cudfkd import data, methods, models, teachers
from cudfkd.base import ranks
from cudfkd.base.errors import ConfigError, CudfkdError, TrainingError, unknown
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.base.version import __version__
from cudfkd.cli import flags
from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.engine import experiments
from cudfkd.engine.progress import Progress
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import Evaluation, evaluate
from cudfkd.runs.folder import fingerprint
from cudfkd.runs.records import read_description
from cudfkd.teachers import recipes, training


class _Help(argparse.HelpFormatter):
    """argparse's, with an option's default after its text."""

    def _get_help_string(self, action: argparse.Action) -> str:
        told = action.default not in (None, argparse.SUPPRESS) and action.default is not False
        return f"{action.help} [%(default)s]" if told else str(action.help)


class _Parser(argparse.ArgumentParser):
    """argparse, with a bad option raised as ConfigError."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Help, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["--version"]:
            _say(__version__)
            return 0
        if words and words[0] not in (*COMMANDS, "-h", "--help"):
            raise ConfigError(unknown("command", words[0], COMMANDS))
        asked, extra = _parser().parse_known_args(words or ["--help"])
        if extra:
            raise ConfigError(unknown("option", extra[0].split("=")[0], asked.options))
        return asked.run(asked) or 0
    except CudfkdError as error:
        print(f"cudfkd: {error}", file=sys.stderr)
        return 1 if isinstance(error, TrainingError) else 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"cudfkd: out of memory ({_asked_too_much(error)}): lower the batch size or the widths", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = any(word.startswith("--out") for word in words)
        how = "interrupted; a run with --out goes on from its last epoch with --resume" if kept else "interrupted"
        print(f"cudfkd: {how}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout is gone, `cudfkd ... | head`
        sys.stderr.close()
        return 141


def _parser() -> _Parser:
    parser = _Parser(prog="cudfkd", description="Data-free knowledge distillation.")
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    for name, add in COMMANDS.items():
        command = commands.add_parser(name, help=add.__doc__, description=add.__doc__)
        add(command)
        command.set_defaults(options={option for option in command._option_string_actions if option[:2] == "--"})
    return parser


def _add_distill(parser: argparse.ArgumentParser) -> None:
    """distill one of our teachers without data, evaluating on held-out images"""
    parser.add_argument("--data", default="fashion-mnist", help="evaluation data: " + ", ".join(data.names()))
    parser.add_argument("--data-root", type=flags.path, help="folder with the data set, where it does not ship")
    parser.add_argument("--teacher", default="lenet5", help="a teacher that ships, or the file of one of yours")
    parser.add_argument("--teacher-seed", type=flags.whole, default=0, help="of the training of one that ships")
    parser.add_argument("--student", default="lenet5-half", help=", ".join(models.names()))
    parser.add_argument("--out", type=flags.path, help="new folder for the run; without it nothing is written")
    _add_resume(parser)
    parser.add_argument("--method", default="cudfkd", help=", ".join(methods.names()))
    for kind in (DistillConfig, Curriculum):
        flags.add_fields(parser, kind, leave_out={"method", "curriculum", "options"})
    flags.add_method_options(parser)
    parser.epilog = (
        "Defaults stand in []. A setting that cudfkd shares with other methods is told in its words; numbers in () are"
        " those of its authors' scripts."
    )
    parser.set_defaults(run=_distill)


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--stop-after",
        type=flags.minutes,
        metavar="MINUTES",
        help="end at a checkpoint before they are over, to be resumed",
    )


def _distill(asked: argparse.Namespace) -> None:
    for option in ("resume", "stop_after"):
        if getattr(asked, option) and asked.out is None:
            raise ConfigError(f"--{option.replace('_', '-')} needs --out: the folder of the run to go on with")
    options = flags.options_of_method(asked)
    values = flags.given(asked, DistillConfig) | {"method": asked.method, "options": options or None}
    if curriculum := flags.given(asked, Curriculum):
        values["curriculum"] = Curriculum(**curriculum)
    config = DistillConfig(**values)
    experiment = Experiment(
        data=asked.data, teacher=asked.teacher, teacher_seed=asked.teacher_seed, student=asked.student, distill=config
    )
    with ranks.started(config.device), Progress(_say) as progress:
        done = experiments.run(
            experiment, asked.out, resume=asked.resume, callbacks=[progress], stop_after=asked.stop_after,
            data_root=asked.data_root,
        )  # fmt: skip
        if ranks.Ranks.here().leads:
            _report(done)


def _report(done: Run) -> None:
    if not done.summary:
        _say(f"stopped after epoch {done.rows[-1]['epoch']} of {done.config.epochs}: go on with --resume")
        return
    if "accuracy" in done.summary:  # a finished run that was not evaluated, by Python, may be named again
        _say(f"accuracy of the last epoch on dev: {_interval(done.summary['accuracy'])}")
    if done.path:
        _say(f"run folder: {done.path}")


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    """train a teacher, and say how it compares with the one that ships"""
    parser.add_argument("--data", default="fashion-mnist", help="training data: " + ", ".join(data.names()))
    parser.add_argument("--model", default="lenet5", help=", ".join(models.names()))
    parser.add_argument("--seed", type=flags.whole, default=0, help="of weights, order and mirroring")
    parser.add_argument("--out", type=flags.path, required=True, help="folder for weights and card")
    parser.add_argument("--data-root", type=flags.path, help="folder with the training images")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:N or mps")
    _add_resume(parser)
    parser.add_argument("--recipe", default="default", help=f"{', '.join(recipes.names())}; options below change it")
    flags.add_fields(parser, recipes.Recipe)
    parser.set_defaults(run=_teacher)


def _teacher(asked: argparse.Namespace) -> None:
    named = recipes.get(asked.recipe, asked.data)
    recipe = recipes.Recipe(**named.model_dump() | flags.given(asked, recipes.Recipe))
    epochs = []

    def tell(epoch: int, loss: float, accuracy: float) -> None:
        epochs.append(epoch)
        _say(f"epoch {epoch:>3}  loss {loss:.4f}  dev accuracy {accuracy:.4f}")

    card = training.train_teacher(
        asked.data, asked.model, asked.seed, out=asked.out, recipe=recipe, data_root=asked.data_root,
        device=asked.device, on_epoch=tell, resume=asked.resume, stop_after=asked.stop_after,
    )  # fmt: skip
    if not card:
        _say(f"stopped after epoch {epochs[-1]} of {recipe.epochs}: go on with --resume")
        return
    _say(f"accuracy: dev {card['accuracy']['dev']:.4f}, test {card['accuracy']['test']:.4f}")
    if asked.recipe == "paper" and (published := recipes.ACCURACIES.get(asked.data, {}).get(asked.model)):
        _say(f"the paper's teacher: test {published:.4f}")
    if (asked.data, asked.model, asked.seed) in teachers.shipped():
        ships = teachers.shipped_card(asked.data, asked.model, asked.seed)
        dev, test = ships["accuracy"]["dev"], ships["accuracy"]["test"]
        _say(f"the one that ships: dev {dev:.4f}, test {test:.4f}; {_likeness(ships, card)}")


def _likeness(ships: dict, card: dict) -> str:
    """What a teacher has in common with the one that ships, as their cards tell."""
    if card["sha256"] == ships["sha256"]:
        return "the same weights"
    same = recipes.Recipe(**card["recipe"]) == recipes.Recipe(**ships["recipe"])  # older cards do not say all
    return "other weights (rounding differs by machine)" if same else "another recipe"


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    """accuracy, agreement and loyalty of a run's student against its teacher"""
    parser.add_argument("path", type=flags.path, metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="dev", help="dev for choices; test for the number that is reported")
    parser.add_argument("--data", help="default: the run's; one of " + ", ".join(data.names()))
    parser.add_argument("--data-root", type=flags.path, help="folder with the data set, where it does not ship")
    parser.add_argument("--teacher", help="default: the run's")
    parser.add_argument("--teacher-seed", type=flags.whole, help="default: the run's")
    parser.set_defaults(run=_evaluate)


def _evaluate(asked: argparse.Namespace) -> None:
    asked_for = {"data": asked.data, "teacher": asked.teacher, "teacher_seed": asked.teacher_seed}
    given = {name: value for name, value in asked_for.items() if value is not None}
    finished = load_run(asked.path)
    of_run = {"teacher_seed": 0} if {"data", "teacher"} <= given.keys() else experiments.names(asked.path)
    names: dict[str, Any] = of_run | given
    dataset = data.load(names["data"], asked.split, asked.data_root)
    teacher = teachers.read_teacher(teachers.locate(names["data"], names["teacher"], names["teacher_seed"]))
    if not given and fingerprint(teacher) != read_description(asked.path)["teacher_sha256"]:
        raise ConfigError(f"{names['teacher']} is not the teacher of {asked.path} any more: name one with --teacher")
    scores = evaluate(finished.student, teacher, dataset, finished.config.mean, finished.config.std)
    for name in Evaluation._fields:
        _say(f"{name:<18}{getattr(scores, name)}")


def _add_methods(parser: argparse.ArgumentParser) -> None:
    """the methods there are, a line each: paper, what it needs, seconds and MB of a quick run as recorded"""
    parser.set_defaults(run=_methods)


def _methods(asked: argparse.Namespace) -> None:  # noqa: ARG001
    costs, rows = methods.costs(), [("method", "paper", "seconds", "MB", "needs")]
    for name in methods.names():
        about, cost = methods.get(name).ABOUT, costs.get(name)
        seconds, memory = (f"{cost['seconds']:.0f}", f"{cost['peak_memory_mb']:.0f}") if cost else ("-", "-")
        rows.append((name, about.paper, seconds, memory, about.needs))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        _say("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]))


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    """versions, devices, data that is found, assets verified: what to look at when something does not work"""
    parser.add_argument("--data-root", type=flags.path, help="folder with data sets")
    parser.set_defaults(run=_doctor)


def _doctor(asked: argparse.Namespace) -> int:
    from cudfkd.cli import doctor

    lines, healthy = doctor.lines(asked.data_root)
    for line in lines:
        _say(line)
    return 0 if healthy else 1


def _add_completion(parser: argparse.ArgumentParser) -> None:
    """a script that lets a shell complete commands, options and names: eval "$(cudfkd completion bash)" """
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(run=_completion)


def _completion(asked: argparse.Namespace) -> None:
    from cudfkd.cli import completion

    _say(completion.script(_parser(), asked.shell))


def _asked_too_much(error: Exception) -> str:
    """How much an allocator was asked for, in torch's words: "you tried to allocate 8192 bytes" and its kin."""
    asked = re.search(r"ried to allocate ([\d.]+ \w+)", str(error))
    return f"{asked[1]} asked for" if asked else "more was asked for than there is"


def _interval(estimate: dict) -> str:
    return f"{estimate['value']:.4f} (95 % interval {estimate['low']:.4f} to {estimate['high']:.4f})"


def _say(line: str) -> None:
    print(line, flush=True)


COMMANDS = {
    "distill": _add_distill, "teacher": _add_teacher, "evaluate": _add_evaluate, "methods": _add_methods,
    "doctor": _add_doctor, "completion": _add_completion,
}  # fmt: skip
