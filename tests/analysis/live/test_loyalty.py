import torch

from analysis.live import loyalty


def test_loyalty_by_definition_and_its_control():
    assert loyalty.agrees_with_scipy().passed


def test_the_published_loyalty_is_lower_and_has_a_floor():
    table = loyalty.scales([0.01, 0.3, 10.0])
    definition, published = (table[name] for name in table.columns)
    assert (published < definition).iloc[:2].all()
    assert published.iloc[-1] > 1 - float(torch.log(torch.tensor(2.0))) ** 0.25


def test_rows_that_nearly_agree_vanish_in_float32_and_lower_the_mean():
    gone = loyalty.dropped(n=500)
    assert 0 < gone.share < 1
    assert gone.left < gone.all
    assert loyalty.dropped(noise=3.0, n=500).share == 0
