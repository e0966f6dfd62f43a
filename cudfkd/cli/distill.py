"""The command `cudfkd distill`."""

import argparse

from cudfkd import data, methods, models
from cudfkd.base import ranks
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError
from cudfkd.cli import flags
from cudfkd.cli.shared import DATA, PLAIN_WEIGHTS, add_resume
from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.engine import experiments
from cudfkd.engine.progress import Progress
from cudfkd.engine.run import Run


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cudfkd distill`."""
    parser.add_argument("--data", default="fashion-mnist", help=f"evaluation data: {DATA}")
    parser.add_argument("--data-root", type=flags.path, help="folder with the data set, if it does not ship")
    parser.add_argument("--teacher", default="lenet5", help="a teacher that ships, or the file of your own teacher")
    parser.add_argument("--teacher-seed", type=flags.whole, default=0, help="training seed of a teacher that ships")
    parser.add_argument("--teacher-arch", metavar="NAME", default="", help=PLAIN_WEIGHTS)
    parser.add_argument("--student", default="lenet5-half", help=", ".join(models.names()))
    parser.add_argument("--out", type=flags.path, help="new folder for the run; without it nothing is written")
    add_resume(parser)
    parser.add_argument("--method", default="cudfkd", help=", ".join(methods.names()))
    for kind in (DistillConfig, Curriculum):
        flags.add_fields(parser, kind, leave_out={"method", "curriculum", "options"})
    flags.add_method_options(parser)
    parser.epilog = (
        "Defaults are in []. If cudfkd and other methods have the same setting, the text describes cudfkd's setting."
        " Numbers in () are the values in the scripts of the method's authors."
    )
    parser.set_defaults(run=_distill)


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
    with ranks.started(config.device), Progress(say) as progress:
        done = experiments.run(
            experiment, args.out, resume=args.resume, callbacks=[progress], stop_after=args.stop_after,
            data_root=args.data_root,
        )  # fmt: skip
        if ranks.Ranks.here().leads:
            _report(done, data.evaluation_split(args.data))


def _report(done: Run, split: str) -> None:
    if not done.summary:
        say(f"stopped after epoch {done.rows[-1]['epoch']} of {done.config.epochs}: go on with --resume")
        return
    if "accuracy" in done.summary:  # a finished run that Python code made without evaluation has no accuracy
        say(f"accuracy of the last epoch on {split}: {_interval(done.summary['accuracy'])}")
    if done.path:
        say(f"run folder: {done.path}")


def _interval(estimate: dict) -> str:
    return f"{estimate['value']:.4f} (95 % interval {estimate['low']:.4f} to {estimate['high']:.4f})"
