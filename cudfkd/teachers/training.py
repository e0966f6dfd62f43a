"""Training of a teacher on real images, which all stay on the device as bytes. It may stop after any epoch and go on.

During training, the folder MODEL-seedN/ holds the description (config.json) and a checkpoint. At the end, weights and
card replace this folder, see `cudfkd.teachers`. The learning rate is a function of the step, so it is not saved.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cudfkd import data, models
from cudfkd.base import devices, process
from cudfkd.base.deadline import deadline_after
from cudfkd.base.errors import ConfigError, TrainingError
from cudfkd.base.files import make_folder, read_json, remove_empty, write_bytes, write_json
from cudfkd.base.precision import at_least_float32
from cudfkd.base.randomness import Randomness
from cudfkd.evaluation import predict
from cudfkd.models.normalize import Normalize
from cudfkd.runs import checkpoint
from cudfkd.runs.checkpoint import State
from cudfkd.runs.folder import RunFolder
from cudfkd.runs.records import CONFIG, refuse_other
from cudfkd.teachers import folders, read_teacher, recipes, teacher_card
from cudfkd.teachers.augmentation import augmented
from cudfkd.teachers.recipes import Recipe
from cudfkd.teachers.wrong_labels import mislabelled


@process.plain()
def train_teacher(
    dataset: str,
    model: str,
    seed: int = 0,
    *,
    out: str | Path,
    recipe: Recipe | None = None,
    data_root: str | Path | None = None,
    image_size: int | None = None,
    device: str = "cpu",
    on_epoch: Callable[[int, float, float], None] | None = None,
    resume: bool = False,
    stop_after: int | float | None = None,
) -> dict:
    """Trains a teacher on the split *train*, writes weights and card to folder `out`, and returns the card.

    Arguments:
        dataset: name of the training data, from `cudfkd.data.names()`, or a folder of images.
        model: architecture of the teacher, from `cudfkd.models.names()`.
        seed: seed of initial weights, order of the images, augmentation and wrong labels.
        out: folder for MODEL-seedN.safetensors and MODEL-seedN.json; with 10 % of wrong labels MODEL-wrong10-seedN.
        recipe: settings of the training; None: the recipe of the teachers that ship with the package.
        data_root: folder of the training images, see `cudfkd.data.load`.
        image_size: size to which the images of a folder are brought, see `cudfkd.data.load`.
        device: device that trains.
        on_epoch: function that is called after each epoch with its number (from 1), mean training loss and accuracy on
            the split *dev*.
        resume: go on from the checkpoint in `out`, if there is a checkpoint; on the CPU the result is the same to the
            bit as without interruption. For a finished teacher, only return the card.
        stop_after: minutes. The training ends at the last checkpoint before they are over, but not before one epoch.
            The returned card is then empty, and `resume` goes on with the training.

    Raises:
        ConfigError: a name, a value or the device is not allowed; a batch has more images than the data; `out` holds a
            teacher or an unfinished training, and resume is off or the description differs.
        DataError: the images cannot be found, or `out` cannot be written, both before any training; or a file of the
            checkpoint is damaged.
        TrainingError: the loss was not finite; the checkpoint of the previous epoch is kept.
    """
    recipe = recipe or Recipe()
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ConfigError(f"seed = {seed} is not allowed: it must be from 0 to 2**63 - 1")
    deadline, target = deadline_after(stop_after), devices.check(device)
    about = data.info(dataset, image_size)
    network = models.build(model, about.num_classes, about.channels, about.image_size, seed)
    out = Path(out)
    stem = out / f"{name_of(model, recipe)}-seed{seed}"
    facts = folders.facts(about)
    description = {
        "data": about.name if facts else dataset, **facts, "model": models.spec_of(network), "seed": seed,
        "recipe": recipe.model_dump(), "device": device,
    }  # fmt: skip
    if not (stem / CONFIG).exists() and _card_of(stem).exists():
        if not resume:
            raise ConfigError(f"{_card_of(stem)} is a teacher already: choose another folder, or delete it first")
        return _finished(stem, description)
    splits = {name: data.load(dataset, name, data_root, image_size) for name in data.SPLITS}
    images = len(splits["train"])
    if recipe.batch_size > images:
        raise ConfigError(f"batch_size = {recipe.batch_size} is not allowed: there are {images} training images")
    train = splits["train"]
    labels = mislabelled(train.labels, recipe.wrong_labels, about.num_classes, seed)
    splits["train"] = data.ImageSet(train.pixels, labels)
    folder = RunFolder(stem)
    with _made(out), folder.claimed():
        trainer = _Trainer.of(recipe, network, Normalize(about.mean, about.std), splits, seed, target)
        _open(folder, trainer, description, resume=resume)
        if not trainer.train(folder, deadline, on_epoch):
            return {}
        card = _write(stem, description, trainer, splits["test"], about)
    _discard(stem)
    return card


def name_of(model: str, recipe: Recipe) -> str:
    """Returns the name of a teacher: its architecture, with "-wrong10" where 10 % of the labels were wrong."""
    return f"{model}-wrong{100 * recipe.wrong_labels:g}" if recipe.wrong_labels else model


@dataclass
class _Trainer:
    """The network, and all objects that its training needs, on the device. On a GPU no step waits for the host."""

    recipe: Recipe
    network: nn.Module
    normalize: Normalize
    train_on: data.ImageSet
    dev: data.ImageSet
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    randomness: Randomness
    epoch: int = 0
    """number of complete epochs"""

    @classmethod
    def of(
        cls, recipe: Recipe, network: nn.Module, normalize: Normalize, splits: dict, seed: int, device: torch.device
    ) -> "_Trainer":
        fast = device.type == "cuda"
        # on a CPU, the layout that gives the teachers that ship with the package, to the bit
        network.to(device).to(memory_format=torch.channels_last if fast else torch.contiguous_format)
        optimizer = torch.optim.SGD(
            network.parameters(), recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay, nesterov=True,
            fused=True if fast else None,
        )  # fmt: skip
        train = data.ImageSet(splits["train"].pixels.to(device), splits["train"].labels.to(device))
        rng, randomness = torch.Generator(device).manual_seed(seed), Randomness(seed, device, foreign=False)
        return cls(recipe, network, normalize.to(device), train, splits["dev"], optimizer, rng, randomness)

    @property
    def state(self) -> State:
        """The objects of a checkpoint."""
        return State({"teacher": self.network}, {"teacher": self.optimizer}, self.rng, self.randomness)

    def train(self, folder: RunFolder, deadline: float, on_epoch: Callable | None) -> bool:
        """Trains to the end; returns False if it stopped earlier, because the next epoch would end after `deadline`."""
        assert folder.path is not None
        longest = 0.0
        while self.epoch < self.recipe.epochs:
            started = perf_counter()
            with self.randomness.inside():
                loss = self._pass()
            self.epoch += 1
            if not (isfinite(loss) and self._logits_are_finite()):
                raise TrainingError(f"the teacher's loss is not finite in epoch {self.epoch}: lower lr")
            self.state.save(folder.path, self.epoch, generator_steps=0)
            folder.starting = False
            if on_epoch:
                on_epoch(self.epoch, loss, self.accuracy(self.dev))
            longest = max(longest, perf_counter() - started)
            if self.epoch < self.recipe.epochs and perf_counter() + longest > deadline:
                return False
        return True

    def accuracy(self, dataset: data.ImageSet) -> float:
        """Share of images that the network gives the class of their label, in single precision, to 4 decimals."""
        images, labels = dataset.tensors
        logits = predict(self.network, images, self.rng.device, normalize=self.normalize, role="teacher")
        return round(float((logits.argmax(1).cpu() == labels).double().mean()), 4)

    def _logits_are_finite(self) -> bool:
        """Whether the logits of two images are finite after the last step of an epoch, which follows the last loss."""
        probe = self.train_on.pixels[:2]
        logits = predict(self.network, probe, self.rng.device, normalize=self.normalize, role="teacher")
        return bool(logits.isfinite().all())

    def _pass(self) -> float:
        """Trains one epoch, in a new order, without the last images that fill no batch; returns the mean loss.

        All random numbers come from `rng`, in this order: the order of the images, then the augmentation of each batch.
        """
        self.network.train()
        size, labels, device = self.recipe.batch_size, self.train_on.labels, self.rng.device
        steps = len(labels) // size
        total = torch.zeros((), device=device)
        order = torch.randperm(len(labels), generator=self.rng, device=device)[: steps * size]
        for step, batch in enumerate(order.split(size), start=self.epoch * steps):
            rate, momentum = self.recipe.pace(step, self.recipe.epochs * steps)
            self.optimizer.param_groups[0].update(lr=rate, momentum=momentum)
            images = augmented(self.train_on.pixels[batch], self.recipe.augment, self.rng)
            loss = cross_entropy(self._logits(images), labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / steps

    def _logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        x = self.normalize(images)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            return at_least_float32(self.network(x))


@contextmanager
def _made(out: Path) -> Iterator[None]:
    """Makes the folder for a block; if the block fails and the folder is still empty, removes it."""
    created = make_folder(out)
    try:
        yield
    except Exception:
        remove_empty(created)
        raise


def _open(folder: RunFolder, trainer: _Trainer, description: dict[str, Any], *, resume: bool) -> None:
    """Loads the checkpoint to resume, or writes the description of a new training. Raises as `RunFolder.open`."""
    assert folder.path is not None
    config = folder.path / CONFIG
    if not config.exists():
        folder.starting = True
        write_json(config, description)
        return
    folder.refuse_new(resume=resume)
    refuse_other(folder.path, _today(read_json(config)), description, description)
    if checkpoint.exists(folder.path):
        trainer.epoch, _ = trainer.state.load(folder.path)


def _write(
    stem: Path, description: dict[str, Any], trainer: _Trainer, test: data.ImageSet, about: data.DataInfo
) -> dict:
    """Writes the weights, then the card, without which they are no teacher; returns the card."""
    weights = save({name: tensor.cpu().contiguous() for name, tensor in trainer.network.state_dict().items()})
    write_bytes(stem.with_name(f"{stem.name}.safetensors"), weights)
    card = {
        "data": description["data"],
        **folders.facts(about),
        "model": description["model"],
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "seed": description["seed"],
        "recipe": description["recipe"],
        "accuracy": {"dev": trainer.accuracy(trainer.dev), "test": trainer.accuracy(test)},
        "trained_on": f"split train: {len(trainer.train_on):,} images, none of dev or test{_wrong(trainer)}",
        "sha256": sha256(weights).hexdigest(),
        "torch": torch.__version__.split("+")[0],
        "device": description["device"],
        "data_source": about.source,
        "data_licence": about.licence,
        "licence": "MIT",
    }
    write_json(_card_of(stem), card)
    return card


def _wrong(trainer: _Trainer) -> str:
    count = round(trainer.recipe.wrong_labels * len(trainer.train_on))
    return f"; {count:,} of them have a wrong label" if count else ""


def _finished(stem: Path, description: dict[str, Any]) -> dict:
    """Returns the card of a finished teacher.

    Raises:
        ConfigError: the teacher has another description.
        DataError: its files are damaged.
    """
    card = teacher_card(stem)
    refuse_other(stem, _today(card), description, description)
    read_teacher(stem)
    return card


def _today(found: dict[str, Any]) -> dict[str, Any]:
    """Returns a description or a card with all settings of a recipe, which an earlier version may lack."""
    return found | {"recipe": recipes.since(found["recipe"])} if isinstance(found.get("recipe"), dict) else found


def _discard(folder: Path) -> None:
    checkpoint.remove(folder)
    for name in (CONFIG, ".lock"):
        (folder / name).unlink(missing_ok=True)
    remove_empty([folder])


def _card_of(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.json")
