"""Evaluation changes no student; a method that studies real images is refused."""

import pytest

from analysis.live.blindness import blindness
from cudfkd import ConfigError, DistillConfig
from cudfkd.config import Experiment


@pytest.mark.parametrize("method", ["cudfkd", "noise"])
def test_the_student_is_the_same_without_held_out_images_and_another_with_another_seed(method):
    experiment = Experiment(distill=DistillConfig(method=method, epochs=3, steps_per_epoch=2))
    assert blindness(experiment) == (True, True)


@pytest.mark.parametrize("method", ["kd", "scratch"])
def test_a_method_that_sees_images_is_refused(method):
    with pytest.raises(ConfigError, match=f"method {method} is not data-free"):
        blindness(Experiment(distill=DistillConfig(method=method)))
