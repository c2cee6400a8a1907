import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haplolens.data.architecture import MIXED_MODES, Architecture, Cause, acting_carriers, relative_to_alt
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING
from haplolens.data.simulate import TRUTH_COLUMNS, TraitSimulator, simulate_cohort, simulate_trait
from haplolens.errors import ConfigError, InputError

N, V = 1500, 420


@pytest.fixture(scope="module")
def cohort():
    made = simulate_cohort(N, V, chroms=["1", "4"], seed=21, missing=0.01)
    made.samples["age"] = np.random.default_rng(0).normal(50, 8, N)
    return made


def encode(cohort, row):
    calls = cohort.genotypes.calls[row["column"]]
    weights = ENCODING_WEIGHTS[ENCODINGS.index(row["mode"])]
    x = np.where(calls == 1, weights[0], np.where(calls == 2, weights[1], 0.0))
    x[calls == MISSING] = x[calls != MISSING].mean()
    return x


def test_simulate_cohort__has_the_shape_ld_and_frequencies_asked_for():
    made = simulate_cohort(300, 500, chroms=2, seed=1, missing=0.05)
    assert (made.n_samples, made.n_variants) == (300, 500)
    assert made.variants["chrom"].value_counts().to_dict() == {"1": 250, "2": 250}
    assert (made.variants.groupby("chrom")["pos"].diff().dropna() > 0).all()
    assert (made.variants["ref"] != made.variants["alt"]).all()
    calls = made.genotypes.calls
    assert (calls == MISSING).mean() == pytest.approx(0.05, abs=0.01)
    pair = made.genotypes.haplotypes[:, ::2] + made.genotypes.haplotypes[:, 1::2]
    np.testing.assert_array_equal(pair[calls != MISSING], calls[calls != MISSING])
    wide = simulate_cohort(300, 900, seed=1)
    common = wide.genotypes.calls[wide.variants["af"].between(0.1, 0.9)].astype(float)
    r = np.corrcoef(common) ** 2
    assert np.diag(r, 1).mean() > 0.25
    assert np.diag(r, 250).mean() < 0.05


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 999))
@settings(max_examples=25)
def test_simulate_cohort__no_variant_is_monomorphic(n_samples, n_variants, seed):
    made = simulate_cohort(n_samples, n_variants, seed=seed)
    assert made.variants["af"].between(0, 1, inclusive="neither").all()
    again = simulate_cohort(n_samples, n_variants, seed=seed)
    np.testing.assert_array_equal(made.genotypes.calls, again.genotypes.calls)


def test_simulate_trait__truth_rebuilds_the_genetic_part(cohort):
    made = simulate_trait(cohort, Architecture(n_causes=7, modes=MIXED_MODES, h2=(0.02, 0.06)), seed=3)
    assert made.truth.columns.tolist() == list(TRUTH_COLUMNS)
    assert len(made.truth) == 7
    rebuilt = np.zeros(N)
    for _, row in made.truth.iterrows():
        x = encode(cohort, row)
        rebuilt += row["beta"] * (x - x.mean())
        assert row["h2"] == pytest.approx((row["beta"] * x).var(), rel=1e-6)
        assert 0.02 <= row["h2"] <= 0.06
        assert row["id"] == cohort.variants["id"].iloc[row["column"]]
    np.testing.assert_allclose(made.genetic, rebuilt, atol=1e-9)
    assert made.y.var() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(made.y, made.liability)


@pytest.mark.parametrize("scale", ["sample", "expected"])
def test_simulate_trait__causes_explain_together_what_was_asked(cohort, scale):
    plan = Architecture(n_causes=5, h2_total=0.4, scale=scale)
    shares = [simulate_trait(cohort, plan, seed=i).genetic.var() for i in range(8)]
    if scale == "sample":
        np.testing.assert_allclose(shares, 0.4, rtol=1e-9)
    else:
        assert np.mean(shares) == pytest.approx(0.4, rel=0.25)
        assert np.ptp(shares) > 1e-3


def test_simulate_trait__expected_scale_uses_hardy_weinberg(cohort):
    made = simulate_trait(
        cohort, Architecture(n_causes=1, modes={"recessive": 1}, h2=0.1, scale="expected"), seed=1
    )
    row = made.truth.iloc[0]
    p = row["af"] ** 2
    assert row["beta"] ** 2 * p * (1 - p) == pytest.approx(0.1)


@pytest.mark.parametrize("mode", ENCODINGS)
def test_simulate_trait__causes_have_enough_carriers_of_the_acting_genotype(cohort, mode):
    plan = Architecture(n_causes=12, modes={mode: 1}, h2=0.01, min_carriers=60, min_maf=0.05)
    truth = simulate_trait(cohort, plan, seed=5).truth
    assert (truth["mode"] == mode).all()
    for column in truth["column"]:
        ref, het, alt = ((cohort.genotypes.calls[column] == g).sum() for g in (0, 1, 2))
        acting = {
            "additive": het + min(ref, alt),
            "dominant": het + alt,
            "recessive": alt,
            "heterozygote": het,
        }[mode]
        assert acting >= 60
        assert mode == "additive" or ref + het + alt - acting >= 60
    assert np.minimum(truth["af"], 1 - truth["af"]).min() >= 0.05


def test_simulate_trait__modes_of_the_minor_allele_are_told_per_alt(cohort):
    plan = Architecture(n_causes=25, modes={"recessive": 1}, h2=0.01, relative_to="minor", min_carriers=5)
    truth = simulate_trait(cohort, plan, seed=2).truth
    high = truth["af"] > 0.5
    assert high.any()
    assert (truth.loc[high, "mode"] == "dominant").all()
    assert (truth.loc[~high, "mode"] == "recessive").all()
    assert relative_to_alt("heterozygote", 1, True) == ("heterozygote", 1)
    assert relative_to_alt("additive", 1, True) == ("additive", -1)


def test_simulate_trait__wanted_causes_and_hidden_ones(cohort):
    name = cohort.variants["id"].iloc[[40, 300]].tolist()
    wanted = [Cause("additive", name[0], 0.1, 1), Cause("dominant", name[1], 0.05, -1)]
    made = simulate_trait(cohort, Architecture(n_causes=0, causes=wanted, untyped=1), seed=1)
    assert made.truth["id"].tolist() == name
    assert made.truth["h2"].tolist() == pytest.approx([0.1, 0.05])
    assert (np.sign(made.truth["beta"]) == [1, -1]).all()
    assert made.truth["typed"].tolist() == [False, True]
    assert np.flatnonzero(~made.typed).tolist() == [40]
    attached = made.attach(cohort, "ldl")
    assert attached.n_variants == V - 1
    assert name[0] not in attached.variants["id"].tolist()
    np.testing.assert_array_equal(attached.samples["ldl"], made.y)
    assert "ldl" not in cohort.samples
    hidden = simulate_trait(cohort, Architecture(n_causes=3, untyped=True), seed=1)
    assert (~hidden.typed).sum() == 3


def test_simulate_trait__pairs_act_only_together_unless_told(cohort):
    pure = simulate_trait(cohort, Architecture(n_causes=0, n_pairs=1, pair_h2=0.2, min_maf=0.1), seed=4)
    first, second = pure.truth.iloc[0], pure.truth.iloc[1]
    assert (first["partner"], second["partner"]) == (second["id"], first["id"])
    assert pure.genetic.var() == pytest.approx(0.2)
    for column in pure.truth["column"]:
        calls = cohort.genotypes.calls[column]
        for genotype in (0, 1, 2):
            assert pure.genetic[calls == genotype].mean() == pytest.approx(0, abs=0.05)
    both = Architecture(n_causes=0, n_pairs=1, pair_h2=0.1, pair_main_h2=0.05, min_maf=0.1)
    assert simulate_trait(cohort, both, seed=4).truth["mode"].value_counts().to_dict() == {
        "epistasis": 2,
        "additive": 2,
    }


def test_simulate_trait__background_stays_where_it_belongs(cohort):
    first = (cohort.variants["chrom"] == "1").to_numpy()
    made = simulate_trait(
        cohort, Architecture(n_causes=0, polygenic_h2=0.5, polygenic_variants=first), seed=6
    )
    assert made.truth.empty
    assert made.typed.all()
    assert made.genetic.var() == pytest.approx(0.5)
    best = {}
    for name, mask in (("1", first), ("4", ~first)):
        r = np.corrcoef(np.vstack([made.genetic, cohort.genotypes.calls[mask].astype(float)]))[0, 1:]
        best[name] = np.max(r**2)
    assert best["1"] > 0.03
    assert best["4"] < 0.015


def test_simulate_trait__threshold_and_covariates(cohort):
    plan = Architecture(prevalence=0.13, covariates=["age", "sex"], covariate_h2=0.3)
    made = simulate_trait(cohort, plan, seed=8)
    assert made.y.sum() == round(0.13 * N)
    assert made.liability[made.y == 1].min() >= made.liability[made.y == 0].max()
    x = np.column_stack([np.ones(N), cohort.samples[["age", "sex"]]])
    left = made.liability - x @ np.linalg.lstsq(x, made.liability, rcond=None)[0]
    assert 1 - left.var() / made.liability.var() == pytest.approx(0.3, abs=0.06)


def test_simulate_trait__same_seed_same_trait_and_one_simulator_serves_many(cohort):
    plan, simulator = Architecture(modes=MIXED_MODES), TraitSimulator(cohort)
    np.testing.assert_array_equal(
        simulate_trait(cohort, plan, seed=[4, 2]).y, simulator.simulate(plan, seed=[4, 2]).y
    )
    assert (simulator.simulate(plan, seed=[4, 3]).y != simulator.simulate(plan, seed=[4, 2]).y).any()


def test_simulate_trait__draws_only_where_it_may(cohort):
    window = np.arange(100, 160)
    truth = simulate_trait(cohort, Architecture(n_causes=6, h2=0.01, variants=window), seed=1).truth
    assert truth["column"].between(100, 159).all()
    assert truth["column"].is_unique


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        ({"modes": {"recesive": 1}}, ConfigError, "did you mean `recessive`"),
        ({"modes": {}}, ConfigError, "shares of the modes"),
        ({"prevalence": 1.2}, ConfigError, "`prevalence` is 1.2"),
        ({"h2": 1.4}, ConfigError, "between 0 and 1"),
        ({"covariate_h2": 0.1}, ConfigError, "needs `covariates`"),
        ({"n_causes": 4, "h2": 0.3}, ConfigError, "less than all"),
        ({"min_carriers": N}, InputError, "too few carriers"),
        ({"causes": [Cause(variant="rs0")]}, InputError, "no variant is called `rs0`"),
        ({"n_causes": 0, "n_pairs": 1, "min_carriers": 1200}, InputError, "carriers"),
    ],
)
def test_simulate_trait__impossible_plans_are_refused(cohort, plan, error, message):
    with pytest.raises(error, match=message):
        simulate_trait(cohort, Architecture(**plan), seed=1)


def test_acting_carriers__the_fewer_of_carriers_and_others():
    counts = np.array([[70, 20, 10], [5, 20, 75]])
    flip = np.array([False, True])
    assert acting_carriers(counts, "additive", flip).tolist() == [30, 25]
    assert acting_carriers(counts, "dominant", flip).tolist() == [30, 25]
    assert acting_carriers(counts, "recessive", flip).tolist() == [10, 5]
    assert acting_carriers(counts, "heterozygote", flip).tolist() == [20, 20]


def test_simulate_trait__causes_that_cancel_are_turned_round():
    made = simulate_cohort(200, 30, seed=1)
    made.genotypes.calls[9] = made.genotypes.calls[8]
    wanted = [Cause(variant="rs9", sign=1), Cause(variant="rs10", sign=-1)]
    trait = simulate_trait(made, Architecture(n_causes=0, causes=wanted, h2_total=0.3), seed=1)
    assert trait.genetic.var() == pytest.approx(0.3)
