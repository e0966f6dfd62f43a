import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cudfkd import teachers
from cudfkd.base.errors import ConfigError
from cudfkd.base.validation import Described
from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.methods.cudfkd import Options
from cudfkd.teachers.recipes import Recipe

NAN, INF = float("nan"), float("inf")

# a kind of description, one spoiled value of it, and what the line must say: its name, itself, what is allowed
BAD = [
    (DistillConfig, {"method": "cudfk"}, ["method", "'cudfk'", "did you mean 'cudfkd'?"]),
    (DistillConfig, {"method": None}, ["method", "None", "string"]),
    (DistillConfig, {"epochs": 0}, ["epochs", "0", "greater than or equal to 1"]),
    (DistillConfig, {"epochs": -3}, ["epochs", "-3", "greater than or equal to 1"]),
    (DistillConfig, {"epochs": "20"}, ["epochs", "'20'", "integer"]),
    (DistillConfig, {"epochs": 2.5}, ["epochs", "2.5", "integer"]),
    (DistillConfig, {"epochs": True}, ["epochs", "True", "integer"]),
    (DistillConfig, {"epochs": None}, ["epochs", "None", "integer"]),
    (DistillConfig, {"steps_per_epoch": 0}, ["steps_per_epoch", "0", "greater than or equal to 1"]),
    (DistillConfig, {"round_steps": 0}, ["round_steps", "0", "greater than or equal to 1"]),
    (DistillConfig, {"round_steps": 30}, ["round_steps", "30", "divide steps_per_epoch = 100"]),
    (DistillConfig, {"round_steps": 200}, ["round_steps", "200", "divide steps_per_epoch = 100"]),
    (DistillConfig, {"steps_per_epoch": 15}, ["round_steps", "2", "divide steps_per_epoch = 15"]),
    (DistillConfig, {"generator_ratio": 0.0}, ["generator_ratio", "0.0", "greater than 0"]),
    (DistillConfig, {"generator_ratio": 0.3}, ["generator_ratio", "0.3", "round_steps = 2", "whole number"]),
    (DistillConfig, {"generator_ratio": 1.0, "method": "noise"}, ["generator_ratio", "1.0", "noise has no generator"]),
    (DistillConfig, {"batch_size": 1}, ["batch_size", "1", "greater than or equal to 2"]),
    (DistillConfig, {"lr": 0.0}, ["lr", "0.0", "greater than 0"]),
    (DistillConfig, {"lr": -0.1}, ["lr", "-0.1", "greater than 0"]),
    (DistillConfig, {"lr": NAN}, ["lr", "nan"]),
    (DistillConfig, {"lr": INF}, ["lr", "inf", "finite"]),
    (DistillConfig, {"lr": "1e-4"}, ["lr", "'1e-4'", "number"]),
    (DistillConfig, {"lr": "a\nb"}, ["lr", r"'a\nb'", "number"]),
    (DistillConfig, {"lr": True}, ["lr", "True", "number"]),
    (DistillConfig, {"lr": np.zeros((2, 2))}, ["lr", "number"]),
    (DistillConfig, {"lr": torch.zeros(2, 2)}, ["lr", "number"]),
    (DistillConfig, {"momentum": 1.0}, ["momentum", "1.0", "less than 1"]),
    (DistillConfig, {"momentum": -0.1}, ["momentum", "-0.1", "greater than or equal to 0"]),
    (DistillConfig, {"average": 1.0}, ["average", "1.0", "less than 1"]),
    (DistillConfig, {"weight_decay": -1e-4}, ["weight_decay", "-0.0001", "greater than or equal to 0"]),
    (DistillConfig, {"seed": -1}, ["seed", "-1", "greater than or equal to 0"]),
    (DistillConfig, {"seed": 2**63}, ["seed", str(2**63), "less than"]),
    (DistillConfig, {"seed": None}, ["seed", "None", "integer"]),
    (DistillConfig, {"device": "gpu"}, ["device", "'gpu'", "cpu, cuda, cuda:N or mps"]),
    (DistillConfig, {"device": ""}, ["device", "''", "cpu, cuda, cuda:N or mps"]),
    (DistillConfig, {"device": "meta"}, ["device", "'meta'", "cpu, cuda, cuda:N or mps"]),
    (DistillConfig, {"device": "cuda:-1"}, ["device", "'cuda:-1'", "cpu, cuda, cuda:N or mps"]),
    (DistillConfig, {"device": "cuda:99"}, ["device", "'cuda:99'", "cpu"]),
    (DistillConfig, {"device": "cpu:1"}, ["device", "'cpu:1'", "cpu"]),
    (DistillConfig, {"device": 0}, ["device", "0", "string"]),
    (DistillConfig, {"precision": "bf16"}, ["precision", "'bf16'", "did you mean 'bfloat16'?", "float32"]),
    (DistillConfig, {"precision": 16}, ["precision", "16", "bfloat16, float32"]),
    (DistillConfig, {"precision": np.zeros((2, 2))}, ["precision", "bfloat16, float32"]),
    (DistillConfig, {"compile": "on"}, ["compile", "'on'", "default, off, reduce-overhead"]),
    (DistillConfig, {"compile": True}, ["compile", "True", "default, off, reduce-overhead"]),
    (DistillConfig, {"image_size": 30}, ["image_size", "30", "multiple of 4"]),
    (DistillConfig, {"image_size": 0}, ["image_size", "0", "greater than or equal to 4"]),
    (DistillConfig, {"channels": 2}, ["channels", "2", "1, 3"]),
    (DistillConfig, {"channels": "3"}, ["channels", "'3'", "1, 3"]),
    (DistillConfig, {"num_classes": 1}, ["num_classes", "1", "greater than or equal to 2"]),
    (DistillConfig, {"mean": (0.5,)}, ["mean", "(0.5,)", "std", "None", "both"]),
    (DistillConfig, {"std": (0.5,)}, ["mean", "None", "std", "(0.5,)", "both"]),
    (DistillConfig, {"mean": (0.5,), "std": (0.5, 0.5)}, ["mean", "(0.5,)", "std", "(0.5, 0.5)", "a channel"]),
    (DistillConfig, {"mean": (), "std": ()}, ["mean", "()", "at least 1"]),
    (DistillConfig, {"mean": "0.5", "std": 0.5}, ["mean", "0.5", "tuple"]),
    (DistillConfig, {"mean": ("a",), "std": (1.0,)}, ["mean", "'a'", "number"]),
    (DistillConfig, {"mean": (NAN,), "std": (1.0,)}, ["mean", "nan", "finite"]),
    (DistillConfig, {"mean": (0.5,), "std": (0.0,)}, ["std", "0.0", "greater than 0"]),
    (DistillConfig, {"keep_epochs": (31,)}, ["keep_epochs", "31", "25 epochs"]),
    (DistillConfig, {"keep_epochs": (0,)}, ["keep_epochs", "0", "greater than or equal to 1"]),
    (DistillConfig, {"keep_epochs": 5}, ["keep_epochs", "5", "tuple"]),
    (DistillConfig, {"keep_epochs": "12"}, ["keep_epochs", "'12'", "tuple"]),
    (DistillConfig, {"curriculum": "log"}, ["urriculum", "'log'", "dictionary"]),
    (DistillConfig, {"curriculum": {"lam_start": -1.0}}, ["lam_start", "-1.0", "greater than 0"]),
    (DistillConfig, {"curriculum": {"regulariser": "log"}}, ["'regulariser'", "did you mean 'regularizer'?"]),
    (DistillConfig, {"curriculum": {1: 2}}, ["1"]),
    (DistillConfig, {"options": 5}, ["options", "5", "cudfkd"]),
    (DistillConfig, {"options": Curriculum()}, ["options", "Curriculum", "cudfkd"]),
    (DistillConfig, {"options": {"bm": 1.0}}, ["'bm'", "did you mean 'bn'?", "one_hot"]),
    (DistillConfig, {"options": {"loss": "kll"}}, ["loss", "'kll'", "did you mean 'kl'?", "js, kl, l1, l2"]),
    (DistillConfig, {"options": {1: 2}}, ["1"]),
    (DistillConfig, {"epoch": 3}, ["'epoch'", "did you mean 'epochs'?", "batch_size"]),
    (DistillConfig, {"learning rate": 3}, ["'learning rate'", "lr"]),
    (DistillConfig, {"a\nb": 3}, [r"'a\nb'", "lr"]),
    (Curriculum, {"regularizer": "Log"}, ["regularizer", "'Log'", "did you mean 'log'?", "soft"]),
    (Curriculum, {"granularity": "sampel"}, ["granularity", "'sampel'", "did you mean 'sample'?", "batch, none"]),
    (Curriculum, {"granularity": None}, ["granularity", "None", "batch, none, sample"]),
    (Curriculum, {"lam_start": 0}, ["lam_start", "0", "greater than 0"]),
    (Curriculum, {"lam_end": -INF}, ["lam_end", "-inf"]),
    (Curriculum, {"lam_start": (1.0, 2.0)}, ["lam_start", "(1.0, 2.0)", "number"]),
    (Curriculum, {"pace": "quantil"}, ["pace", "'quantil'", "did you mean 'quantile'?", "schedule"]),
    (Curriculum, {"pace": "quantile", "regularizer": "jiang-log", "lam_start": 0.1, "lam_end": 0.2}, ["jiang-log"]),
    (Curriculum, {"quantile_start": 0.0}, ["quantile_start", "0.0", "greater than 0"]),
    (Curriculum, {"quantile_start": 0.99}, ["quantile_start", "0.99", "quantile_end = 0.95"]),
    (Curriculum, {"quantile_end": 1.1}, ["quantile_end", "1.1", "less than or equal to 1"]),
    (Curriculum, {"quantile_times": 0.0}, ["quantile_times", "0.0", "greater than 0"]),
    (Curriculum, {"normalize": 1}, ["normalize", "1", "true or false"]),
    (Curriculum, {"quantile_memory": 1.0}, ["quantile_memory", "1.0", "less than 1"]),
    (Curriculum, {"on_dead": "warm"}, ["on_dead", "'warm'", "did you mean 'warn'?", "stop"]),
    (Curriculum, {"lambda_start": 1.0}, ["'lambda_start'", "did you mean 'lam_start'?"]),
    (Options, {"loss": "mse"}, ["loss", "'mse'", "js, kl, l1, l2"]),
    (Options, {"temperature": 0.0}, ["temperature", "0.0", "greater than 0"]),
    (Options, {"store": "bank"}, ["store", "'bank'", "again, fresh, mixture, pool, same, step"]),
    (Options, {"generator_output": "tanh"}, ["generator_output", "'tanh'", "scaled, sigmoid, standardised"]),
    (Options, {"sampling_mode": "evaluate"}, ["sampling_mode", "'evaluate'", "eval", "train"]),
    (Options, {"memory_size": 0}, ["memory_size", "0", "greater than or equal to 1"]),
    (Options, {"memory_share": 1.0}, ["memory_share", "1.0", "less than 1"]),
    (Options, {"augment": "yes"}, ["augment", "'yes'", "true or false"]),
    (Options, {"latent_dim": 0}, ["latent_dim", "0", "greater than or equal to 1"]),
    (Options, {"generator_width": 0}, ["generator_width", "0", "greater than or equal to 1"]),
    (Options, {"generator_width": 16.0}, ["generator_width", "16.0", "integer"]),
    (Options, {"generator_schedule": "cosin"}, ["generator_schedule", "did you mean 'cosine'?", "constant"]),
    (Options, {"generator_lr": 0.0}, ["generator_lr", "0.0", "greater than 0"]),
    (Options, {"generator_steps": 0}, ["generator_steps", "0", "greater than or equal to 1"]),
    (Options, {"class_entropy": -20.0}, ["class_entropy", "-20.0", "greater than or equal to 0"]),
    (Options, {"one_hot": -1.0}, ["one_hot", "-1.0", "greater than or equal to 0"]),
    (Options, {"bn": -1.0}, ["bn", "-1.0", "greater than or equal to 0"]),
    (Options, {"bn": NAN}, ["bn", "nan"]),
    (Options, {"adv_start": -1.0}, ["adv_start", "-1.0", "greater than or equal to 0"]),
    (Options, {"adv_end": -1.0}, ["adv_end", "-1.0", "greater than or equal to 0"]),
    (Options, {"adv_begin": -0.1}, ["adv_begin", "-0.1", "greater than or equal to 0"]),
    (Options, {"adv_finish": 1.1}, ["adv_finish", "1.1", "less than or equal to 1"]),
    (Options, {"adv_begin": 0.8}, ["adv_begin", "0.8", "adv_finish = 0.5"]),
    (Options, {"adv_follows": "steps"}, ["adv_follows", "'steps'", "agreement"]),
    (Options, {"adv_temperature": 0.0}, ["adv_temperature", "0.0", "greater than 0"]),
    (Options, {"adv": 1.0}, ["'adv'", "adv_end"]),
    (Experiment, {"data": "fashion_mnist"}, ["data set", "'fashion_mnist'", "did you mean 'fashion-mnist'?"]),
    (Experiment, {"teacher": "lenet6"}, ["teacher", "lenet6", "did you mean", "fashion-mnist lenet5 seed 0"]),
    (Experiment, {"teacher_seed": 7}, ["teacher", "seed 7", "fashion-mnist lenet5 seed 2"]),
    (Experiment, {"teacher_seed": -1}, ["teacher_seed", "-1", "greater than or equal to 0"]),
    (Experiment, {"teacher_arch": "lenet"}, ["unknown model 'lenet'", "did you mean 'lenet5'?"]),
    (Experiment, {"student": "lenet5-haf"}, ["model", "'lenet5-haf'", "did you mean 'lenet5-half'?"]),
    (Experiment, {"distill": {"lr": 0.0}}, ["lr", "0.0", "greater than 0"]),
    (Experiment, {"distill": {"options": {"bn": -1.0}}}, ["bn", "-1.0", "greater than or equal to 0"]),
    (Experiment, {"lr": 0.1}, ["'lr'", "distill"]),
    (Recipe, {"epochs": 0}, ["epochs", "0", "greater than or equal to 1"]),
    (Recipe, {"batch_size": 1}, ["batch_size", "1", "greater than or equal to 2"]),
    (Recipe, {"lr": 0.0}, ["lr", "0.0", "greater than 0"]),
    (Recipe, {"weight_decay": -1.0}, ["weight_decay", "-1.0", "greater than or equal to 0"]),
    (Recipe, {"augment": "flip"}, ["augment", "'flip'", "mirror, none"]),
    (Recipe, {"schedule": "steps"}, ["schedule", "'steps'", "one-cycle"]),
    (Recipe, {"precision": "float16"}, ["precision", "'float16'", "did you mean 'bfloat16'?"]),
    (Recipe, {"wrong_labels": 1.0}, ["wrong_labels", "1.0", "less than 1"]),
    (Recipe, {"epocs": 3}, ["'epocs'", "did you mean 'epochs'?"]),
]  # fmt: skip


def row_name(row: Any) -> str:
    return row.__name__ if isinstance(row, type) else repr(row)[:60].replace("\n", " ") if isinstance(row, dict) else ""


@pytest.mark.parametrize(("kind", "values", "told"), BAD, ids=row_name)
def test_a_bad_value_is_refused_in_one_line(kind, values, told):
    with pytest.raises(ConfigError) as error:
        kind(**values)
    line = str(error.value)
    assert "\n" not in line
    for text in told:
        assert text in line


@pytest.mark.parametrize("kind", [DistillConfig, Curriculum, Options, Experiment, Recipe])
def test_the_table_spoils_every_value(kind):
    """Exceptions: values that stand for a complete description, and one value of a pair that is refused together."""
    spoiled = {name for row, values, _ in BAD if row is kind for name in values}
    assert set(kind.model_fields) <= spoiled


# Good values


ALTERNATIVES: dict[type[Described], dict[str, Any]] = {
    DistillConfig: {
        "epochs": 21, "steps_per_epoch": 200, "round_steps": 20, "batch_size": 65, "lr": 0.2, "momentum": 0.8,
        "weight_decay": 0.0, "seed": 1, "device": "cpu:0", "precision": "bfloat16", "compile": "default",
        "average": 0.1, "image_size": 32, "channels": 3, "num_classes": 11,
        "keep_epochs": (1, 25), "curriculum": Curriculum(lam_end=5.0), "options": Options(bn=0.5),
        "mean": (0.5,), "std": (0.5,), "generator_ratio": 1.0,
    },
    Curriculum: {
        "regularizer": "linear", "granularity": "batch", "lam_start": 2.5, "lam_end": 4.5, "on_dead": "warn",
        "pace": "quantile", "quantile_start": 0.4, "quantile_end": 0.9, "quantile_memory": 0.5, "quantile_times": 2.5,
        "normalize": True,
    },
    Options: {
        "loss": "kl", "temperature": 2.0, "latent_dim": 65, "generator_width": 17, "generator_lr": 2e-3,
        "generator_steps": 2, "generator_schedule": "constant", "generator_output": "scaled", "sampling_mode": "train",
        "class_entropy": 0.0, "one_hot": 0.0, "bn": 0.0, "adv_start": 0.5, "adv_end": 0.5,
        "adv_begin": 0.25, "adv_finish": 1.0, "adv_temperature": 1.0, "store": "pool", "memory_size": 100,
        "adv_follows": "agreement", "memory_share": 0.5, "augment": False,
    },
    Experiment: {"teacher_seed": 1, "student": "lenet5"},
    Recipe: {
        "epochs": 1, "batch_size": 64, "lr": 0.2, "weight_decay": 0.0, "augment": "none", "schedule": "cosine",
        "precision": "bfloat16", "wrong_labels": 0.1,
    },
}  # fmt: skip
ONLY_ONE = {"method", "data", "teacher", "teacher_arch", "distill"}  # no other yet, or rows and tests of their own


def changed(kind: type[Described], name: str) -> Described:
    values = {name: ALTERNATIVES[kind][name]}
    if name in ("mean", "std"):  # refused alone
        values = {"mean": (0.4,), "std": (0.4,)} | values
    return kind(**values)


def distillations() -> list[DistillConfig]:
    """The default description, and descriptions that differ from the default in one value each."""
    return [
        DistillConfig(),
        *(changed(DistillConfig, name) for name in ALTERNATIVES[DistillConfig]),
        *(DistillConfig(curriculum=changed(Curriculum, name)) for name in ALTERNATIVES[Curriculum]),
        *(DistillConfig(options=changed(Options, name)) for name in ALTERNATIVES[Options]),
    ]


def experiments() -> list[Experiment]:
    return [
        *(Experiment(distill=config) for config in distillations()),
        *(changed(Experiment, name) for name in ALTERNATIVES[Experiment]),
    ]


@pytest.mark.parametrize("kind", ALTERNATIVES, ids=lambda kind: kind.__name__)
def test_there_is_an_alternative_to_every_value(kind):
    assert set(ALTERNATIVES[kind]) == set(kind.model_fields) - ONLY_ONE
    for name, value in ALTERNATIVES[kind].items():
        assert getattr(changed(kind, name), name) == value != getattr(kind(), name)


def test_default_options_are_the_methods():
    assert DistillConfig().options == DistillConfig(options={}).options == Options()
    assert DistillConfig(options={"bn": 0.0}).options == Options(bn=0.0)


def test_total_steps():
    assert DistillConfig(epochs=7, steps_per_epoch=30).total_steps == 210


@pytest.mark.parametrize("config", [*distillations()], ids=lambda _: "")
def test_a_distillation_survives_json(config):
    text = config.model_dump_json()
    assert DistillConfig(**json.loads(text)) == config
    assert DistillConfig.model_validate_json(text) == config
    assert json.loads(json.dumps(config.model_dump(mode="json"))) == json.loads(text)
    assert type(DistillConfig(**json.loads(text)).options) is Options


def test_an_experiment_survives_json():
    for experiment in experiments():
        again = Experiment(**json.loads(experiment.model_dump_json()))
        assert again == experiment
        assert again.key == experiment.key


@pytest.mark.parametrize("kind", ALTERNATIVES, ids=lambda kind: kind.__name__)
def test_descriptions_are_frozen(kind):
    described = kind()
    for name in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(described, name, getattr(described, name))
        with pytest.raises(ValidationError, match="frozen"):
            delattr(described, name)
    assert described == kind()


def test_parts_of_a_description_are_frozen():
    config = DistillConfig(mean=[0.5], std=[0.5], keep_epochs=[1])
    with pytest.raises(ValidationError):
        config.curriculum.lam_start = 3.0
    with pytest.raises(ValidationError):
        config.options.bn = 0.0
    assert (config.mean, config.std, config.keep_epochs) == ((0.5,), (0.5,), (1,))
    assert len({config, DistillConfig(mean=(0.5,), std=(0.5,), keep_epochs=(1,))}) == 1


# The key of an experiment


def test_equal_experiments_have_equal_keys():
    key = Experiment().key
    assert Experiment().key == key
    assert Experiment(distill=DistillConfig(lr=0.1, curriculum=Curriculum())).key == key
    assert Experiment(**dict(reversed(Experiment().model_dump(mode="json").items()))).key == key
    partial = {"curriculum": {"lam_start": 2, "lam_end": 4}, "options": {"class_entropy": 5}}
    assert Experiment(distill=partial).key == key
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")


def test_every_value_changes_the_key():
    keys = [experiment.key for experiment in experiments()]
    assert len(keys) == len(set(keys)) == 1 + sum(len(ALTERNATIVES[k]) for k in ALTERNATIVES if k is not Recipe)


def test_other_weights_of_the_teacher_change_the_key(monkeypatch):
    key, card = Experiment().key, teachers.shipped_card("fashion-mnist", "lenet5", 0)
    monkeypatch.setattr(teachers, "teacher_card", lambda *_: card)
    assert Experiment().key == key
    monkeypatch.setattr(teachers, "teacher_card", lambda *_: card | {"sha256": "0" * 64})
    assert Experiment().key != key


# Devices


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    return SimpleNamespace(present=("cuda", "cuda:0", "cuda:1"), absent="cuda:2")


def test_devices_that_are_here_are_taken(two_gpus):
    for name in ("cpu", *two_gpus.present):
        assert DistillConfig(device=name).device == name
    with pytest.raises(ConfigError, match=r"^device = 'cuda:2' is not on this machine: it has 2 of type cuda"):
        DistillConfig(device=two_gpus.absent)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=r"^device = 'cuda' is not on this machine: .* use cpu$"):
        DistillConfig(device="cuda")
