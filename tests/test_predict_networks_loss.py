"""Losses: missing traits are silent, and every output finds its way to log odds."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit

from haplolens.errors import ConfigError
from haplolens.predict.loss import LOSSES, Focal, build_loss


def known(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", ["mse", "huber"])
def test_loss__missing_traits_neither_count_nor_send_gradients(name):
    loss = build_loss(name, np.zeros((4, 3)), binary=False)
    output = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = known([[1, np.nan, 0], [np.nan, np.nan, 1], [2, np.nan, np.nan], [0, np.nan, 3]])
    loss(output, y).backward()
    assert torch.equal(output.grad != 0, ~torch.isnan(y))
    held = [loss.each(output[rows, t], y[rows, t]).mean() for t, rows in ((0, [0, 2, 3]), (2, [0, 1, 3]))]
    assert loss.held(output, y).item() == pytest.approx(((held[0] + held[1]) / 3).item())


def test_loss__log_variances_are_learned_and_start_neutral():
    y = known(np.random.default_rng(1).normal(size=(400, 2)) * [0.1, 2.0])
    loss = build_loss("mse", y.numpy(), binary=False)
    assert [name for name, _ in loss.named_parameters()] == ["log_variance"]
    output = torch.zeros_like(y)
    assert loss(output, y).item() == pytest.approx(loss.held(output, y).item())
    optimiser = torch.optim.Adam(loss.parameters(), 0.3)
    for _ in range(120):
        optimiser.zero_grad()
        loss(output, y).backward()
        optimiser.step()
    wanted = 0.5 * y.square().mean(0)  # where exp(-s) L + s is least: s = log L
    torch.testing.assert_close(loss.log_variance.detach().exp().double(), wanted, rtol=1e-3, atol=1e-4)


def test_huber__is_half_the_square_near_zero_and_straight_beyond():
    loss = build_loss("huber", np.zeros((2, 1)), binary=False, delta=0.5)
    found = loss.each(known([0.3, 2.0]), known([0.0, 0.0]))
    np.testing.assert_allclose(found, [0.045, 0.5 * (2.0 - 0.25)])


@pytest.mark.parametrize("name", ["cross_entropy", "logit_adjusted", "focal"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_binary_loss__its_minimiser_leads_back_to_the_true_share(name, share):
    y = np.array([[1.0]] * round(1000 * share) + [[0.0]] * round(1000 * (1 - share)))
    loss = build_loss(name, y, binary=True)
    values = torch.from_numpy(y)

    def at(output):
        return float(loss(torch.full_like(values, output), values))

    best = minimize_scalar(at, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
    assert expit(loss.to_scale(known([best])).item()) == pytest.approx(share, rel=1e-3)
    np.testing.assert_allclose(loss.start(y), [best], atol=1e-3)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 5.0), (0.5, 0.5)])
def test_focal__map_to_log_odds_is_the_closed_form_and_comes_back(alpha, gamma):
    loss = Focal(alpha=alpha, gamma=gamma)
    output = torch.linspace(-12, 12, 61, dtype=torch.float64)
    odds = loss.to_scale(output)
    q = torch.sigmoid(output).numpy()

    def pull(v):
        return (1 - v) ** gamma / v - gamma * (1 - v) ** (gamma - 1) * np.log(v)

    wanted = np.log((1 - alpha) * pull(1 - q)) - np.log(alpha * pull(q))
    np.testing.assert_allclose(odds, wanted, rtol=1e-6, atol=1e-6)
    assert (odds.diff() > 0).all()
    torch.testing.assert_close(loss.of_scale(odds), output, rtol=0, atol=1e-6)
    assert torch.isfinite(loss.to_scale(torch.tensor([-80.0, 80.0]))).all()


def test_focal__weighs_cases_by_alpha_and_controls_by_the_rest():
    loss = Focal(alpha=0.25, gamma=2.0)
    p = 0.7
    found = loss.each(known([np.log(p / (1 - p))] * 2), known([1.0, 0.0]))
    wanted = [-0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p)]
    np.testing.assert_allclose(found, wanted)


def test_logit_adjusted__output_is_free_of_the_prior():
    y = np.array([[1.0]] * 50 + [[0.0]] * 950)
    loss = build_loss("logit_adjusted", y, binary=True)
    assert loss.start(y)[0] == pytest.approx(0.0, abs=1e-9)
    assert loss.to_scale(known([0.0])).item() == pytest.approx(np.log(50 / 950))
    half = build_loss("logit_adjusted", y, binary=True, tau=0.5)
    assert half.to_scale(known([0.0])).item() == pytest.approx(0.5 * np.log(50 / 950))


def test_build_loss__refuses_what_does_not_fit():
    y = np.array([[0.0], [1.0]])
    with pytest.raises(ConfigError, match="did you mean `focal`"):
        build_loss("fokal", y, binary=True)
    with pytest.raises(ConfigError, match=r"does not fit a quantitative trait\. Take one of mse, huber"):
        build_loss("focal", y, binary=False)
    with pytest.raises(ConfigError, match="does not fit a case/control"):
        build_loss("mse", y, binary=True)
    with pytest.raises(ConfigError, match="no such option"):
        build_loss("mse", y, binary=False, delta=2)
    with pytest.raises(ConfigError, match="`alpha` is 2"):
        build_loss("focal", y, binary=True, alpha=2)
    with pytest.raises(ConfigError, match="`delta` is 0"):
        build_loss("huber", y, binary=False, delta=0.0)
    with pytest.raises(ConfigError, match="cases and controls"):
        build_loss("logit_adjusted", np.zeros((3, 1)), binary=True)
    assert [type(build_loss(None, y, binary=b)) for b in (False, True)] == [
        LOSSES["mse"],
        LOSSES["cross_entropy"],
    ]
