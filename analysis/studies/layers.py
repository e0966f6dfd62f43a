"""Settings in layers: values for all runs, and further values for single data sets or pairs of networks."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict

from cudfkd.base.validation import Described


class LayeredSettings(Described):
    """Settings of some runs, with further settings for single data sets or pairs."""

    model_config = ConfigDict(extra="allow")

    by_data: dict[str, "LayeredSettings"] = {}
    """settings for one data set alone"""
    by_pair: dict[str, "LayeredSettings"] = {}
    """settings for one pair alone"""

    def layers(self, data: str, pair: str) -> Iterator[dict[str, Any]]:
        """The settings for a data set and a pair, layer by layer; a later layer beats an earlier layer."""
        yield self.model_extra or {}
        for inner in (self.by_data.get(data), self.by_pair.get(pair)):
            if inner is not None:
                yield from inner.layers(data, pair)

    def names(self, kind: Literal["by_data", "by_pair"]) -> Iterator[str]:
        """The data sets or pairs for which there are settings."""
        yield from getattr(self, kind)
        for inner in (*self.by_data.values(), *self.by_pair.values()):
            yield from inner.names(kind)
