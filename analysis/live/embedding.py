"""Features in a plane: one t-SNE (van der Maaten and Hinton, 2008) of several groups of images."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.manifold import TSNE
from torch import Tensor

from analysis.checks import validate


class Embedding(NamedTuple):
    """Groups of points in one plane.

    points: by group, (n, 2) places.
    kl: the divergence in nats that t-SNE could not lower further. It says how much of the neighbourhoods the plane
        loses, and not how far apart the groups are.
    """

    points: dict[str, np.ndarray]
    kl: float


def embed(groups: Mapping[str, Tensor], seed: int = 0, perplexity: float = 30.0) -> Embedding:
    """Puts all groups of features into one plane.

    In this plane neighbours mean much, distances between clusters mean little.

    Arguments:
        groups: by name, (n, channels) features.
        seed: seed of the optimisation, which starts from the two principal components.
        perplexity: number of neighbours that count; a third of the points at most.

    Raises:
        ConfigError: there are fewer than 10 points.
    """
    features = np.concatenate([values.double().numpy() for values in groups.values()])
    neighbours = min(perplexity, (validate.count("number of points", len(features), 10) - 1) / 3)
    reducer = TSNE(perplexity=neighbours, init="pca", random_state=seed)
    places = reducer.fit_transform(features)
    ends = np.cumsum([len(values) for values in groups.values()])
    return Embedding(dict(zip(groups, np.split(places, ends[:-1]), strict=True)), float(reducer.kl_divergence_))
