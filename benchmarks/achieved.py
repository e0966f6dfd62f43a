"""What a loop makes of its device: measured speed over measured ceilings."""

from statistics import median

from benchmarks.traffic import floor


def achieved(here: dict, precision: str) -> dict[str, dict]:
    """What each loop makes of the device at its median speed: operations, and the least time of a step over its time.

    `gflops` are those that the loop does itself, as shares of the ceilings; `share_of_floor` is by where the maps are,
    in a cache or in memory, and takes the fastest kernel's operations a second.

    Arguments:
        here: the parts "ceiling", "flops", "traffic" and "speed" of one pair, as `benchmarks.throughput` files them. A
            loop called "engine, ..." does the engine's operations.
        precision: of the engine; other loops are in float32.
    """
    found = {}
    for name, rates in here["speed"]["steps_per_second"].items():
        work = "engine" if name.startswith("engine") else name
        top = here["ceiling"]["gflops"][precision if work == "engine" else "float32"]
        operations, rate = here["flops"]["per_step"][work], median(rates)
        least = {
            place: floor(here["traffic"]["per_step"][work], operations, max(top.values()) * 1e9, bandwidth * 1e9)
            for place, bandwidth in here["ceiling"]["gb_per_second"].items()
        }
        gflops = rate * operations / 1e9
        found[name] = {
            "gflops": gflops,
            "share_of": {kernel: gflops / most for kernel, most in top.items()},
            "share_of_floor": {place: seconds * rate for place, seconds in least.items()},
        }
    return found
