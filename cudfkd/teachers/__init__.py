"""Teachers: reading of a teacher that ships with the package or that is a file, and of the card that describes it.

A teacher is a file NAME.safetensors with a card NAME.json in the same folder. The card holds recipe, seed, accuracies,
SHA-256 of the weights, data source and licence. If the file does not have the SHA-256 of its card, it is refused.

A file of plain weights from outside has no card. It is a teacher once its architecture is named.
"""

import json
import re
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from cudfkd import data, models
from cudfkd.base.errors import ConfigError, DataError, unknown
from cudfkd.boundary.weights import load_plain
from cudfkd.teachers import folders, outside

WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Usual endings of files of weights."""


def load_teacher(dataset: str, model: str, seed: int = 0) -> nn.Module:
    """Loads a teacher that ships with the package, in eval mode, after a check of its hash.

    Arguments:
        dataset: data set of its training; "fashion-mnist".
        model: its name; "lenet5", or with seed 0 "lenet5-wrong10", "lenet5-wrong20" and "lenet5-wrong40": LeNet-5 that
            was trained with so many percent of wrong labels.
        seed: seed of its training; 0, 1 or 2.

    Raises:
        ConfigError: no teacher with these arguments ships; the line lists all teachers that ship.
        DataError: its weights are missing or altered.
    """
    return read_teacher(_shipped(dataset, model, seed))


def from_weights(file: str | Path, arch: str, dataset: str, image_size: int | None = None) -> nn.Module:
    """Loads a teacher from a file of plain weights without a card, in eval mode.

    The file is a .safetensors file, or a file that `torch.save` wrote: a state dict, or a dict that holds a state dict
    under a key of `cudfkd.boundary.weights.KEYS`. No code of the file is run. Names may have the prefixes of
    `torch.compile` and of parallel wrappers. Weights of any precision become float32.

    Arguments:
        file: the file; `~` is the home folder.
        arch: architecture of the network, from `cudfkd.models.names()`.
        dataset: data set of its training, which gives classes, channels and image size.
        image_size: size of the images, if the data set is a folder of images, see `cudfkd.data.load`.

    Raises:
        ConfigError: an unknown architecture or data set; the file does not exist, is a folder or has a card; or it
            holds the weights of another network.
        DataError: the file cannot be read, is damaged, would run code or holds no weights.
    """
    return outside.read(_without_card(str(file), arch), arch, dataset, image_size)


def named(dataset: str, teacher: str, seed: int = 0, arch: str = "", image_size: int | None = None) -> nn.Module:
    """Loads the teacher that an experiment names, in eval mode. Arguments and errors: see `named_card`."""
    if arch:
        return from_weights(teacher, arch, dataset, image_size)
    return read_teacher(locate(dataset, teacher, seed, image_size))


def named_card(dataset: str, teacher: str, seed: int = 0, arch: str = "", image_size: int | None = None) -> dict:
    """Returns the card of the teacher that an experiment names; for plain weights, a card made from the weights.

    Arguments:
        dataset: data set of its training.
        teacher: a teacher as `locate` takes it, or a file of plain weights.
        seed: seed of its training, for a teacher that ships.
        arch: architecture, for a file of plain weights; empty for a teacher with a card.
        image_size: size of the images, if the data set is a folder of images, see `cudfkd.data.load`.

    Raises:
        ConfigError: as `locate`, or as `from_weights` if an architecture is given.
        DataError: as `locate`, or as `from_weights` if an architecture is given.
    """
    if arch:
        return outside.card(_without_card(teacher, arch), arch, dataset, image_size)
    return teacher_card(locate(dataset, teacher, seed, image_size))


def locate(dataset: str, teacher: str, seed: int = 0, image_size: int | None = None) -> Path:
    """Returns the path of a teacher without file ending, the common stem of its weights and its card.

    Arguments:
        dataset: data set of its training.
        teacher: architecture of a teacher that ships, or a file that `cudfkd.train_teacher` wrote (weights or card).
        seed: seed of its training, for a teacher that ships.
        image_size: size of the images, if the data set is a folder of images, see `cudfkd.data.load`.

    Raises:
        ConfigError: the teacher does not exist, is a folder, or was trained on a different data set; or a folder of
            images has other classes, or images of another shape.
        DataError: the file has no card, or its card is damaged.
    """
    if (dataset, teacher, seed) in shipped() or not _is_file(teacher):
        return _shipped(dataset, teacher, seed)
    path = _file(teacher)
    stem = _stem(path)
    if not _is_there(_beside(stem, ".json")):
        _refuse_lack_of_card(teacher, path)
    card = teacher_card(stem)
    trained_on = card.get("data")
    if data.is_folder(dataset):
        folders.refuse_misfit(teacher, card, dataset, data.info(dataset, image_size))
    elif trained_on != dataset:
        raise ConfigError(f"the teacher {teacher} was trained on {trained_on}, not on {dataset}: name that data set")
    return stem


def read_teacher(stem: Path) -> nn.Module:
    """Loads the teacher in `stem`.safetensors, in eval mode, after a check against its card `stem`.json.

    Raises:
        DataError: card or weights are missing, damaged or do not belong together.
    """
    card = teacher_card(stem)
    path = _beside(stem, ".safetensors")
    if not path.is_file():
        raise DataError(f"{path} is missing though its card is there: reinstall cudfkd or train it again")
    content = path.read_bytes()
    if sha256(content).hexdigest() != card["sha256"]:
        raise DataError(f"{path} is not the teacher its card describes (SHA-256 differs): reinstall or train it again")
    try:
        model = models.rebuild(card["model"])
        load_plain(model, load(content))
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} does not hold the network of its card: train it again") from error
    return model.eval()


def teacher_card(stem: Path) -> dict:
    """Reads the card of a teacher. Raises DataError if it is missing or is not a card."""
    path = _beside(stem, ".json")
    try:
        card = json.loads(path.read_text())
        return {name: card[name] for name in ("data", "model", "sha256")} | card
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing or not a teacher's card: reinstall cudfkd or train it again") from error


def shipped() -> list[tuple[str, str, int]]:
    """Lists the teachers in the package as (data set, model, seed)."""
    names = (path.stem.rsplit("-seed", 1) + [path.parent.name] for path in data.ASSETS.glob("*/*-seed*.json"))
    return sorted((dataset, model, int(seed)) for model, seed, dataset in names)


def shipped_card(dataset: str, model: str, seed: int = 0) -> dict:
    """Reads the card of a teacher that ships. Raises ConfigError and DataError as `load_teacher`."""
    return teacher_card(_shipped(dataset, model, seed))


def _is_file(teacher: str) -> bool:
    """Whether a teacher is meant as a file: by the form of its name, or because there is a file of this name."""
    formed = "/" in teacher or "\\" in teacher or teacher.endswith((".json", *WEIGHTS))
    return formed or (_is_there(Path(teacher)) and Path(teacher).is_file())


def _home(teacher: str) -> Path:
    """Returns a path in which `~` is the home folder."""
    try:
        return Path(teacher).expanduser()
    except RuntimeError:  # no user has this name
        return Path(teacher)


def _is_there(path: Path) -> bool:
    """Whether a path exists. Raises DataError if its folder may not be looked into."""
    try:
        path.stat()
    except PermissionError as error:
        todo = "mend its permissions, or name another file"
        raise DataError(f"{path} cannot be read ({error.strerror}): {todo}") from error
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return False
    return True


def _file(teacher: str) -> Path:
    """Returns the path of a teacher that is meant as a file. Raises ConfigError if it is a folder."""
    path = _home(teacher)
    if not path.name or (_is_there(path) and path.is_dir()):
        raise ConfigError(f"the teacher {teacher} is a folder: name the file of its weights")
    return path


def _without_card(teacher: str, arch: str) -> Path:
    """Returns the path of a file of plain weights. Raises ConfigError if it is none, or `arch` is unknown."""
    models.check(arch)
    path = _file(teacher)
    if _has_card(path) or (not _is_there(path) and teacher in {model for _, model, _ in shipped()}):
        todo = "leave --teacher-arch out"
        raise ConfigError(
            f"teacher_arch = {arch!r} is not allowed: {teacher} has a card that names its network: {todo}"
        )
    if not (_is_there(path) and path.is_file()):
        raise _no_teacher(teacher)
    return path


def _has_card(path: Path) -> bool:
    """Whether a file is the weights or the card of a teacher with a card."""
    if path.suffix not in (".safetensors", ".json"):
        return False
    try:
        teacher_card(_stem(path))
    except DataError:
        return False
    return True


def _refuse_lack_of_card(teacher: str, path: Path) -> None:
    """Raises ConfigError if a teacher does not exist, and DataError if it has weights, but no card."""
    stem = _stem(path)
    weights = [file for file in (path, _beside(stem, ".safetensors")) if _is_there(file)]
    if not weights:
        raise _no_teacher(teacher)
    why = f"{stem.name}.json is missing" if weights[0].suffix == ".safetensors" else "only .safetensors files have one"
    todo = f"plain weights ({', '.join(WEIGHTS)}) are read with --teacher-arch NAME: name their architecture"
    raise DataError(f"{weights[0]} has no card ({why}): {todo}")


def _no_teacher(teacher: str) -> ConfigError:
    return ConfigError(f"there is no teacher {teacher}: name the file of its weights")


def _stem(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json").removesuffix(".safetensors") or path.name)


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)  # with_suffix would cut a name that contains dots


def _shipped(dataset: str, model: str, seed: int) -> Path:
    if (dataset, model, seed) not in shipped():
        name = f"{dataset} {model} seed {seed}"
        named = dataset in data.names() or data.is_folder(dataset)
        if named and dataset not in {with_teacher for with_teacher, _, _ in shipped()}:
            todo = f"train one (cudfkd teacher --data {dataset} --model {model}) and name its file"
            raise ConfigError(f"unknown teacher {name!r}: none ships for {dataset}, so {todo}")
        if noisy := re.fullmatch(r"(.+)-wrong(\d+(?:\.\d+)?)", model):
            share = float(noisy[2]) / 100
            made = f"--data {dataset} --model {noisy[1]} --seed {seed} --wrong-labels {share:g} --out DIR"
            raise ConfigError(f"unknown teacher {name!r}: make it (cudfkd teacher {made}) and name its file")
        raise ConfigError(unknown("teacher", name, (f"{d} {m} seed {s}" for d, m, s in shipped())))
    return data.ASSETS / dataset / f"{model}-seed{seed}"
