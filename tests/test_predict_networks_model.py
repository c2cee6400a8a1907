"""Networks as models: each finds a planted signal of its own kind, and a model that was saved answers the same."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from haplolens.data.packed import Packed
from haplolens.errors import ConfigError, InputError
from haplolens.predict.encode import fit_table
from haplolens.predict.gblup import Gblup
from haplolens.predict.models import build
from haplolens.predict.network_model import NetworkModel
from haplolens.predict.samples import Samples

PER_BLOCK, PER_CHROM, N_TRAIN, N_TEST = 6, 12, 600, 250


def genotypes(n, n_variants, rng):
    """Five founders a block of six variants: long LD inside, none outside."""
    haplotypes = []
    for _ in range(2):
        one = np.empty((n, n_variants), np.uint8)
        for start in range(0, n_variants, PER_BLOCK):
            one[:, start : start + PER_BLOCK] = founders(n_variants)[
                rng.integers(0, 5, n), start : start + PER_BLOCK
            ]
        haplotypes.append(one ^ (rng.random(one.shape) < 0.03))
    return (haplotypes[0] + haplotypes[1]).astype(np.uint8)


def founders(n_variants):
    return np.random.default_rng(11).integers(0, 2, (5, n_variants)).astype(np.uint8)


def score(values):
    return (values - values.mean()) / values.std()


def planted(kind, copies):
    """(n,) signal with mean 0 and SD 1."""
    useful = np.flatnonzero(copies.std(axis=0) > 0.5)
    first = useful[useful < PER_BLOCK]
    last = useful[useful >= copies.shape[1] - PER_CHROM]
    rng = np.random.default_rng(12)
    if kind == "additive":
        picked = rng.choice(useful, 6, replace=False)
        return score(sum(score(copies[:, v]) * w for v, w in zip(picked, rng.normal(size=6), strict=True)))
    if kind == "dominance":
        return score(sum(score(copies[:, v] == 1) for v in rng.choice(useful, 3, replace=False)))
    i, j = (first[0], first[-1]) if kind == "pair in a block" else (first[0], last[0])
    a, b = score(copies[:, i]), score(copies[:, j])
    main = 0.2 if kind == "pair in a block" else 0.4  # LD tells a linear model much of a near pair as it is
    return score(main * a + main * b + score(a * b))


def cohort(kind, *, encoding="adddom", n_variants=24, n=N_TRAIN, heritability=0.9, binary=False):
    rng = np.random.default_rng(13)
    codes = genotypes(n + N_TEST, n_variants, rng)
    signal = planted(kind, codes.astype(float))
    y = np.sqrt(heritability) * signal + np.sqrt(1 - heritability) * rng.normal(size=len(signal))
    codes[rng.random(codes.shape) < 0.01] = 3
    chroms = -(-n_variants // PER_CHROM)
    variants = pd.DataFrame(
        {
            "chrom": np.repeat(np.arange(1, chroms + 1), PER_CHROM)[:n_variants].astype(str),
            "pos": np.tile(np.arange(1, PER_CHROM + 1) * 40_000, chroms)[:n_variants],
            "ref": "A",
            "alt": "G",
        }
    )
    y = (y > 0.7).astype(float) if binary else (y - y[:n].mean()) / y[:n].std()
    packed = Packed(codes)
    table = fit_table(encoding, packed.take(np.arange(n)), variants)
    covariates = rng.normal(size=(len(codes), 1))
    whole = Samples(packed, table, variants, covariates, y, binary)
    return whole.take(np.arange(n)), whole.take(np.arange(n, n + N_TEST)), signal[n:]


QUICK = {"epochs": 18, "batch": 50, "learning_rate": 4e-3, "patience": 6}
SMALL = {"width": 16, "depth": 1, "heads": 4, "hidden": 64}


@pytest.mark.parametrize(
    ("architecture", "kind", "options"),
    [
        ("cnn", "pair in a block", {}),
        ("local", "dominance", {}),
        ("graph", "pair in a block", {}),
        ("dpcformer", "pair in a block", {"hidden": (64, 32), "batch": 100}),
        ("cnn_transformer", "pair across chromosomes", SMALL),
        ("transformer", "pair across chromosomes", {**SMALL, "group": 2}),
        ("autoencoder", "dominance", {}),
    ],
)
def test_network__finds_what_a_linear_model_cannot(architecture, kind, options):
    train, test, signal = cohort(kind)
    linear = np.corrcoef(Gblup().fit(train, seed=1, folds=3).predict(test), signal)[0, 1]
    model = build(architecture, **{**QUICK, **options}).fit(train, seed=1, folds=2)
    deep = np.corrcoef(model.predict(test), signal)[0, 1]
    assert linear < 0.7
    assert deep > max(0.8, linear + 0.15)


def test_network_model__same_answers_after_it_was_saved():
    for options in (
        {"architecture": "graph", "depth": 1},
        {"architecture": "autoencoder", "front": "pca", "latent": 5},
        {"architecture": "cnn_transformer", "tokens": "blocks", "width": 16, "depth": 1},
    ):
        train, test, _ = cohort("additive", n=90, n_variants=25)
        train = Samples(**{**vars(train), "filter": lambda samples: np.arange(0, 25, 2)})
        model = NetworkModel(**options, epochs=2).fit(train, seed=2, folds=2)
        config = json.loads(json.dumps(model.config()))
        state = {name: np.array(value) for name, value in model.state().items()}
        assert {name.split("/")[0] for name in state} == {"net0", "net1"}
        again = NetworkModel.restore(config, state)
        np.testing.assert_array_equal(again.predict(test), model.predict(test))
        assert again.about() == model.about()
        assert json.loads(json.dumps(again.config())) == config
        assert set(again.state()) == set(state)


def test_network_model__each_net_is_judged_on_the_fold_that_it_did_not_see():
    train, test, _ = cohort("additive", n=120, n_variants=20)
    asked, done = [], []

    def choose(samples):
        asked.append(samples)
        return np.arange(3 + len(asked), 20)

    train = Samples(**{**vars(train), "filter": choose})
    model = NetworkModel(architecture="local", epochs=3).fit(train, seed=4, folds=3, progress=done.append)
    assert done == [1, 1, 1]
    folds = train.inner_folds(3, 4)
    for number, (fit_rows, held_rows) in enumerate(folds):
        np.testing.assert_array_equal(asked[number].y, train.y[fit_rows])
        np.testing.assert_array_equal(model.nets[number].columns, np.arange(4 + number, 20))
        alone = NetworkModel(architecture="local", epochs=3)
        alone.loss, alone.nets = model.loss, [model.nets[number]]
        np.testing.assert_allclose(
            alone.predict(train.take(held_rows)), model.out_of_fold[held_rows], atol=1e-6
        )
    singles = []
    for net in model.nets:
        alone = NetworkModel(architecture="local", epochs=3)
        alone.loss, alone.nets = model.loss, [net]
        singles.append(alone.predict(test))
    np.testing.assert_allclose(model.predict(test), np.mean(singles, axis=0))
    assert np.ptp(singles, axis=0).max() > 0


@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted", "focal"])
def test_network_model__cases_and_controls_come_back_as_log_odds(loss):
    train, test, signal = cohort("additive", n=400, n_variants=30, binary=True)
    model = NetworkModel(architecture="local", loss=loss, epochs=15, batch=64, learning_rate=3e-3)
    model.fit(train, seed=5, folds=2)
    told = 1 / (1 + np.exp(-model.predict(test)))
    assert np.corrcoef(told, signal)[0, 1] > 0.6
    assert told.mean() == pytest.approx(train.y.mean(), abs=0.08)
    again = NetworkModel.restore(json.loads(json.dumps(model.config())), model.state())
    np.testing.assert_array_equal(again.predict(test), model.predict(test))


def test_network_model__several_traits_with_missing_values():
    train, test, signal = cohort("additive", n=200, n_variants=30)
    both = np.stack([train.y, -train.y], axis=1)
    both[::3, 1] = np.nan
    train = Samples(**{**vars(train), "y": both})
    model = NetworkModel(architecture="local", epochs=15, learning_rate=3e-3).fit(train, seed=6, folds=2)
    found = model.predict(test)
    assert model.out_of_fold.shape == (200, 2)
    assert np.corrcoef(found[:, 0], signal)[0, 1] > 0.6
    assert np.corrcoef(found[:, 1], signal)[0, 1] < -0.5


def test_network_model__a_stopped_fit_goes_on(tmp_path):
    train, test, _ = cohort("additive", n=100, n_variants=20)
    seen = []

    def stop(net, epoch):
        seen.append((net, epoch.number))
        if seen[-1] == (1, 2):
            raise KeyError

    options = {"architecture": "local", "epochs": 3, "checkpoints": str(tmp_path / "nets")}
    with pytest.raises(KeyError):
        NetworkModel(**options, told=stop).fit(train, seed=7, folds=2)
    assert sorted(path.name for path in (tmp_path / "nets").iterdir()) == ["net0.ckpt", "net1.ckpt"]
    seen.clear()
    model = NetworkModel(**options, told=lambda net, epoch: seen.append((net, epoch.number)))
    model.fit(train, seed=7, folds=2)
    assert seen == [(1, 2), (1, 3)]
    assert not list((tmp_path / "nets").iterdir())
    assert "checkpoints" not in model.config()["options"]
    whole = NetworkModel(architecture="local", epochs=3).fit(train, seed=7, folds=2)
    np.testing.assert_allclose(model.predict(test), whole.predict(test), atol=0.1)


def test_network_model__refuses_what_it_cannot_do():
    with pytest.raises(ConfigError, match="did you mean `cnn`"):
        NetworkModel(architecture="cnnn")
    with pytest.raises(ConfigError, match=r"`widht` is no option of `transformer`; did you mean `width`"):
        build("transformer", widht=3)
    with pytest.raises(ConfigError, match="`patience` is 0"):
        NetworkModel(patience=0)
    train, _, _ = cohort("additive", n=19, n_variants=20)
    with pytest.raises(InputError, match="at least 20 training samples with the trait and got 19"):
        NetworkModel().fit(train)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_network_model__cpu_and_gpu_agree():
    train, test, _ = cohort("additive", n=200, n_variants=30)
    options = {"architecture": "local", "epochs": 5, "dropout": 0.0, "drop_path": 0.0}
    found = [
        NetworkModel(device=device, **options).fit(train, seed=8, folds=2).predict(test)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=0.02)
