"""The contract with everybody outside: descriptions, keys, command lines, errors, and the weights of short runs.

    python -m tests.contract      writes tests/contract.json again, after a change that is meant

A move of files must change none of these entries. Bits of weights depend on the processor and on torch, so the file
also records the machine that computed them.
"""

import argparse
import contextlib
import io
import json
import platform
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

import analysis.__main__
import analysis.studies.__main__
import cudfkd.cli
from cudfkd import DistillConfig, Experiment, methods
from tests.cudfkd.methods.tiny import config, distill

FILE = Path(__file__).with_suffix(".json")
CPU, KERNELS = Path("/proc/cpuinfo"), ("cpu family", "model", "stepping", "cache size")
BAD_COMMANDS = (
    "nonsense", "distill --nonsense 1", "distill --method nonsense", "distill --epochs 0", "distill --epochs x",
    "distill --round-steps 3 --steps-per-epoch 100", "distill --device nonsense", "distill --batch-size 1",
    "distill --regularizer nonsense", "distill --lam-start -1", "distill --teacher nonsense", "distill --resume",
    "distill --student nonsense", "distill --data nonsense", "distill --lr nan", "distill --seed -1",
    "distill --precision half", "distill --method dafl --adv-end 1", "distill --image-size 30", "distill --mean 0.5",
    "evaluate nonsense",
    "teacher --out x --recipe nonsense", "completion fish", "doctor --nonsense",
)  # fmt: skip
BAD_ANALYSIS = ("reproduce --profile nonsense", "scorecard --profile nonsense")


def descriptions() -> dict[str, Any]:
    """For each method: its default configuration as JSON, and the key of the experiment with our networks."""
    configs = {name: DistillConfig(method=name) for name in methods.names()}
    return {name: [c.model_dump_json(), Experiment(distill=c).key] for name, c in configs.items()}


def command_lines() -> dict[str, dict[str, list[Any]]]:
    """For each command: its options with placeholder, default and help text, whatever the width of the screen."""
    parsers = {
        "cudfkd": cudfkd.cli.commands.parser(),
        "analysis": analysis.__main__._parser(),
        "analysis.studies": analysis.studies.__main__._parser(),
    }
    return {name: options for program in parsers for name, options in _commands(program, parsers[program]).items()}


def errors() -> dict[str, list[Any]]:
    """For each bad command: its exit code and its line on stderr."""
    mains = [("cudfkd", cudfkd.cli.main, BAD_COMMANDS), ("analysis", analysis.__main__.main, BAD_ANALYSIS)]
    return {f"{name} {line}": _run(main, line) for name, main, lines in mains for line in lines}


def runs() -> dict[str, dict[str, Any]]:
    """For each method: the hashes of student and generator after 20 student steps, and the metrics of its epochs."""
    return {name: _metrics_and_hashes(name) for name in methods.names()}


def machine() -> dict[str, str]:
    """Versions and processor. Bits of weights are equal if these are equal."""
    return {
        "torch": torch.__version__,
        "processor": _processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "amx": str(torch.cpu._is_amx_tile_supported()),
    }


def _processor() -> str:
    """The model of the processor and its cache, by which kernels are chosen; where Linux does not tell, its kind."""
    told = CPU.read_text().splitlines() if CPU.exists() else []
    lines = (line.partition(":") for line in told)
    values = {name.strip(): value.strip() for name, _, value in lines}
    return ", ".join([platform.machine(), *(f"{name} {values[name]}" for name in KERNELS if name in values)])


def _metrics_and_hashes(method: str) -> dict[str, Any]:
    torch.manual_seed(0)
    run = distill(config(method, steps_per_epoch=10, round_steps=5))
    rows = [{name: row[name] for name in ("loss", "mean_weight", "lam", "generator_steps")} for row in run.rows]
    return {"student": _hash(run.student), "generator": run.generator and _hash(run.generator), "rows": rows}


def _hash(network: nn.Module) -> str:
    digest = sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _commands(name: str, parser: argparse.ArgumentParser) -> dict[str, dict[str, list[Any]]]:
    options, commands = {}, {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner, its_parser in action.choices.items():
                commands |= _commands(f"{name} {inner}", its_parser)
        else:
            label = ", ".join(action.option_strings) or str(action.dest)
            options[label] = [action.metavar, _plain(action.default), _plain(action.choices), action.help]
    return {name: options} | commands


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _run(main: Any, line: str) -> list[Any]:
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        code = main(line.split())
    return [code, stderr.getvalue()]


def contract() -> dict[str, Any]:
    """All entries of the contract."""
    return {
        "descriptions": descriptions(),
        "command_lines": command_lines(),
        "errors": errors(),
        "machine": machine(),
        "runs": runs(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    FILE.write_text(json.dumps(contract(), indent=1) + "\n")
