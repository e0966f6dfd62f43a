"""Random numbers of a run: nobody outside sees or shifts them, and they follow from the seed alone."""

import random
import threading
import time

import numpy as np
import pytest
import torch

from cudfkd.base.randomness import CPU, Randomness, seeded


def draw() -> tuple[float, ...]:
    """A number of each global generator; the last two leave a second number in reserve."""
    return torch.rand(1).item(), random.random(), np.random.rand(), random.gauss(0, 1), np.random.randn()


def test_a_run_draws_the_numbers_of_its_seed_whatever_happens_outside():
    torch.manual_seed(5)
    first = torch.rand(3).tolist()
    run = Randomness(5, CPU)
    numbers = []
    for _ in range(3):
        draw()
        with run.inside():
            numbers.append(torch.rand(1).item())
            with run.outside():
                draw()
    assert numbers == first


def test_the_caller_keeps_its_own_numbers():
    with seeded(1):
        expected = [draw() for _ in range(4)]
    with seeded(1):
        run = Randomness(9, CPU)
        numbers = [draw()]
        with run.inside():
            draw()
            with run.outside():
                numbers.append(draw())
            draw()
        numbers.append(draw())
        with seeded(3):
            draw()
        numbers.append(draw())
    assert numbers == expected


def test_an_error_inside_gives_the_caller_its_numbers_back():
    with seeded(1):
        expected = draw()
    with seeded(1):
        for block in (lambda: seeded(4), Randomness(9, CPU).inside):
            with pytest.raises(ZeroDivisionError), block():
                draw()[0] / 0
        assert draw() == expected


def test_saved_states_go_on_where_they_were():
    run = Randomness(2**62, CPU)
    with run.inside():
        draw()
        inside = run.save()
        expected = draw()
    outside = run.save()
    for saved in (inside, {name: state.clone() for name, state in inside.items()}):
        again = Randomness(0, CPU)
        again.load(saved)
        with again.inside():
            assert draw() == expected
    with run.inside():
        run.load(inside)
        assert draw() == expected
    assert not all(torch.equal(inside[name], outside[name]) for name in inside)


def test_a_checkpoint_without_pythons_and_numpys_states_is_taken():
    run, old = Randomness(4, CPU), Randomness(8, CPU)
    old.load({"method": torch.zeros(1), "global": run.save()["global"]})
    with run.inside():
        expected = torch.rand(1)
    with old.inside():
        assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("spoiled", [{}, {"global": torch.zeros(3, dtype=torch.uint8)}])
def test_a_spoiled_state_is_refused(spoiled):
    with pytest.raises((KeyError, RuntimeError)):
        Randomness(0, CPU).load(spoiled)


def test_without_foreign_code_pythons_and_numpys_generators_are_left_alone():
    run = Randomness(0, CPU, foreign=False)
    assert run.save().keys() == {"global"}
    with seeded(1):
        expected = random.random()
    with seeded(1), run.inside():
        assert random.random() == expected


def test_runs_in_two_threads_take_turns():
    def numbers(seed: int, into: dict) -> None:
        run, drawn = Randomness(seed, CPU), []
        for _ in range(20):
            with run.inside():
                drawn.append(torch.rand(1).item())
                time.sleep(1e-4)
                drawn.append(random.random())
        into[seed] = drawn

    alone: dict[int, list] = {}
    together: dict[int, list] = {}
    for seed in (1, 2):
        numbers(seed, alone)
    threads = [threading.Thread(target=numbers, args=(seed, together)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_the_generator_of_the_device_belongs_to_the_run_too(device, monkeypatch):
    state = {"now": torch.tensor([1])}
    module = getattr(torch, device)
    monkeypatch.setattr(module, "get_rng_state", lambda *_: state["now"])
    monkeypatch.setattr(module, "set_rng_state", lambda new, *_: state.update(now=new))
    monkeypatch.setattr(module, "manual_seed", lambda seed: state.update(now=torch.tensor([seed])))
    if device == "cuda":
        monkeypatch.setattr(torch.cuda, "device", lambda _: seeded(0))
    run = Randomness(7, torch.device(device))
    assert state["now"].item() == 1
    with run.inside():
        assert state["now"].item() == 7
        state["now"] = torch.tensor([8])
    assert state["now"].item() == 1
    assert run.save()[device].item() == 8
    run.load(run.save() | {device: torch.tensor([5])})
    with run.inside():
        assert state["now"].item() == 5
