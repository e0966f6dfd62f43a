"""What a figure holds, in numbers and in words."""

import matplotlib.pyplot as plt

from analysis.evidence import contents


def labels(figure):
    panels = [contents.plotted(ax) for ax in figure.axes]
    return [(panel["xlabel"], panel["ylabel"]) for panel in panels]


def test_a_missing_label_is_told_from_a_shared_label_and_from_no_axis():
    shared, ((first, _), (_, last)) = plt.subplots(2, 2, sharex=True, sharey="row")
    first.set_ylabel("weight")
    last.set_xlabel("loss")
    assert labels(shared) == [("loss", "weight"), ("loss", "weight"), ("loss", ""), ("loss", "")]
    picture, ax = plt.subplots()
    picture.colorbar(ax.imshow([[0, 1]]), label="share")
    ax.set_xticks([])
    assert labels(picture) == [(None, ""), (None, "share")]
    picture.supylabel("class")
    assert labels(picture) == [(None, "class"), (None, "share")]
    plt.close("all")


def test_a_description_names_everything_once():
    figure, (left, right) = plt.subplots(1, 2, sharex=True, sharey=True)
    left.bar([0, 1], [1, 2], label="parts")
    left.errorbar([0, 1], [1, 2], [1, 1], label="mean")
    left.set(title="default", xlabel="step", ylabel="change\nof Φ")
    right.fill_between([0, 1], [0, 1], label="lost")
    right.set(title="frozen")
    panels = [contents.plotted(ax) for ax in figure.axes]
    assert contents.described("accounts", panels) == "default: change of Φ over step: parts, mean; frozen: lost"
    plt.close("all")
