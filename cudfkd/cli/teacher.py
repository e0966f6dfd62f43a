"""The command `cudfkd teacher`."""

import argparse

from cudfkd import models, teachers
from cudfkd.base.console import say
from cudfkd.cli import flags
from cudfkd.cli.shared import DATA, add_resume
from cudfkd.teachers import recipes, training


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cudfkd teacher`."""
    parser.add_argument("--data", default="fashion-mnist", help=f"training data: {DATA}")
    parser.add_argument("--model", default="lenet5", help=", ".join(models.names()))
    parser.add_argument("--seed", type=flags.whole, default=0, help="seed of weights, order and augmentation")
    parser.add_argument("--out", type=flags.path, required=True, help="folder for weights and card")
    parser.add_argument("--data-root", type=flags.path, help="folder with the training images of a set with a name")
    parser.add_argument(
        "--image-size", type=flags.pixels, metavar="X", help="pixels a side to which a folder's images are brought"
    )
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:N or mps")
    add_resume(parser)
    parser.add_argument("--recipe", default="default", help=f"{', '.join(recipes.names())}; options below change it")
    flags.add_fields(parser, recipes.Recipe)
    parser.set_defaults(run=_teacher)


def _teacher(args: argparse.Namespace) -> None:
    named = recipes.get(args.recipe, args.data)
    recipe = recipes.Recipe(**named.model_dump() | flags.given(args, recipes.Recipe))
    epochs = []

    def tell(epoch: int, loss: float, accuracy: float) -> None:
        epochs.append(epoch)
        say(f"epoch {epoch:>3}  loss {loss:.4f}  dev accuracy {accuracy:.4f}")

    card = training.train_teacher(
        args.data, args.model, args.seed, out=args.out, recipe=recipe, data_root=args.data_root,
        image_size=args.image_size, device=args.device, on_epoch=tell, resume=args.resume, stop_after=args.stop_after,
    )  # fmt: skip
    if not card:
        say(f"stopped after epoch {epochs[-1]} of {recipe.epochs}: go on with --resume")
        return
    say(f"accuracy: dev {card['accuracy']['dev']:.4f}, test {card['accuracy']['test']:.4f}")
    if args.recipe == "paper" and (published := recipes.ACCURACIES.get(args.data, {}).get(args.model)):
        say(f"the paper's teacher: test {published:.4f}")
    name = training.name_of(args.model, recipe)
    if (args.data, name, args.seed) in teachers.shipped():
        ships = teachers.shipped_card(args.data, name, args.seed)
        dev, test = ships["accuracy"]["dev"], ships["accuracy"]["test"]
        say(f"the one that ships: dev {dev:.4f}, test {test:.4f}; {_likeness(ships, card)}")


def _likeness(ships: dict, card: dict) -> str:
    """Compares a teacher with the teacher that ships, by their cards: weights, then recipes."""
    if card["sha256"] == ships["sha256"]:
        return "the same weights"
    same = recipes.since(card["recipe"]) == recipes.since(ships["recipe"])
    return "other weights (rounding differs by machine)" if same else "another recipe"
