"""Texts and options that several commands share."""

import argparse

from cudfkd import data
from cudfkd.cli import flags

PLAIN_WEIGHTS = (
    "architecture of --teacher, if it is a file of plain weights without a card (.safetensors, .pt, .pth, .bin, .ckpt):"
    " a name as for --student; images are normalised with the data set's mean and std, as for every teacher"
)

DATA = f"{', '.join(data.names())}; or the path of a folder of images: train/CLASS/* and test/CLASS/*, or CLASS/*"


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Adds the options --resume and --stop-after."""
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--stop-after",
        type=flags.minutes,
        metavar="MINUTES",
        help="stop at a checkpoint before so many minutes are over; --resume goes on from it",
    )
