from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohorts_of_predictors import trait_cohort, with_quick_model
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.errors import AlignmentError, InputError
from haplolens.predict.align import align
from haplolens.predict.fit import fit
from haplolens.predict.recipe import Recipe

SWAP = {"A": "T", "T": "A", "C": "G", "G": "C"}


@pytest.fixture
def cohort():
    return trait_cohort(missing=0.0)


@pytest.fixture
def fitted(cohort, monkeypatch):
    with_quick_model(monkeypatch)
    return fit(cohort, "y", covariates=("age",), recipe=Recipe(model="quick", folds=3))


def expected(fitted, cohort):
    return fitted.predict(cohort)["prediction"].to_numpy()


def with_variants(cohort, **columns):
    return replace(cohort, variants=cohort.variants.assign(**columns))


def with_calls(cohort, calls):
    af = np.where(calls < 0, 0, calls).mean(axis=1) / 2
    return replace(cohort, genotypes=ArrayGenotypes(calls), variants=cohort.variants.assign(af=af))


def turned(cohort, rows):
    """The same people with REF and ALT exchanged at some variants, labels and genotypes alike."""
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[rows] = 2 - calls[rows]
    ref, alt = (cohort.variants[name].to_numpy(object).copy() for name in ("ref", "alt"))
    ref[rows], alt[rows] = alt[rows], ref[rows]
    return with_variants(with_calls(cohort, calls), ref=ref, alt=alt)


def test_align__order_and_further_variants_do_not_matter(cohort, fitted):
    order = np.random.default_rng(1).permutation(83)
    shuffled = cohort[:, order]
    np.testing.assert_allclose(expected(fitted, shuffled), expected(fitted, cohort), rtol=1e-6)


def test_align__exchanged_alleles_are_turned_and_told(cohort, fitted):
    rows = np.array([3, 17, 40, 41, 77])
    table = fitted.predict(turned(cohort, rows))
    np.testing.assert_allclose(table["prediction"], expected(fitted, cohort), rtol=1e-6)
    assert table.attrs["alignment"]["swapped"]["n"] == 5
    assert any("REF and ALT exchanged" in note and "rs4" in note for note in table.attrs["notes"])


def test_align__the_other_strand_is_read(cohort, fitted):
    bases = str.maketrans("ACGT", "TGCA")
    ref, alt = ([a.translate(bases) for a in cohort.variants[name]] for name in ("ref", "alt"))
    palindromes = np.array([SWAP.get(r) == a for r, a in zip(cohort.variants["ref"], ref, strict=True)]) & (
        cohort.variants["alt"].to_numpy() == np.array(ref)
    )
    af = cohort.variants["af"].to_numpy(copy=True)
    af[np.flatnonzero(palindromes)[:2]] = 0.45  # so common that the frequency does not tell the strand
    aligned = align(fitted.preparation, with_variants(cohort, ref=ref, alt=alt, af=af))
    read = np.ones(83, bool)
    read[np.flatnonzero(palindromes)[:2]] = False
    codes = aligned.samples.genotypes.codes
    np.testing.assert_array_equal(codes[:, read], cohort.genotypes.read(slice(None)).T[:, read])
    assert (codes[:, ~read] == 3).all()
    assert aligned.counts["ambiguous"]["n"] == 2
    assert aligned.counts["strand_flipped"]["n"] == read.sum()


@pytest.mark.parametrize("encoding", ["additive", "onehot", "indicator8"])
def test_align__absent_variants_count_as_the_training_mean(cohort, monkeypatch, encoding):
    with_quick_model(monkeypatch)
    fitted = fit(cohort, "y", recipe=Recipe(model="quick", folds=3, encoding=encoding))
    fewer = cohort[:, np.setdiff1d(np.arange(83), [5, 50])]
    aligned = align(fitted.preparation, fewer)
    table = aligned.samples.table
    packed = aligned.samples.genotypes
    assert (packed.codes[:, [5, 50]] == 3).all()
    values = fitted.preparation.table.values
    calls = cohort.genotypes.read(slice(None))
    np.testing.assert_array_equal(table.look_up(packed)[:, 4], values[4, calls[4]])  # others are as they were
    channels = values[[[5], [50]], calls[[5, 50]]].mean(axis=1)  # (2, C) over training samples
    np.testing.assert_allclose(table.values[[5, 50], 3], channels, atol=1e-5)
    assert any("absent" in note and "rs6, rs51" in note for note in aligned.notes)


def test_align__too_many_absent_are_refused_with_a_way_out(cohort, fitted):
    with pytest.raises(
        AlignmentError, match=r"lack 33 of the 83 .*39\.8%.*first rs51, rs52, rs53.*max-absent 0\.4"
    ):
        fitted.predict(cohort[:, np.arange(50)])
    assert len(fitted.predict(cohort[:, np.arange(50)], max_absent=0.4)) == 157


def test_align__other_alleles_are_absent(cohort, fitted):
    alt = cohort.variants["alt"].to_numpy(object).copy()
    alt[7] = "AAAA"
    table = fitted.predict(with_variants(cohort, alt=alt))
    assert table.attrs["alignment"]["other_alleles"] == {"n": 1, "examples": ["rs8"]}


def test_align__nothing_in_common(cohort, fitted):
    far = with_variants(cohort, pos=cohort.variants["pos"] + 7, id=[f"x{i}" for i in range(83)])
    with pytest.raises(AlignmentError, match="first rs1, rs2, rs3"):
        fitted.predict(far)


def test_align__another_build(cohort, fitted):
    lifted = with_variants(cohort, pos=cohort.variants["pos"] + 1000)
    with pytest.raises(AlignmentError, match=r"same name lie elsewhere in the genotypes \(first rs1"):
        fitted.predict(lifted)
    named = replace(fitted, about=fitted.about | {"build": "GRCh37"})
    with pytest.raises(AlignmentError, match="trained on GRCh37, the genotypes are of hg38"):
        named.predict(replace(cohort, build="hg38"))
    assert len(named.predict(replace(cohort, build="hg19"))) == 157


def test_align__alleles_exchanged_throughout(cohort, fitted):
    with pytest.raises(AlignmentError, match="run against those of training"):
        fitted.predict(with_calls(cohort, 2 - cohort.genotypes.read(slice(None))))


def test_align__samples_that_miss_too_much(cohort, fitted):
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[:21, [2, 9]] = -9
    with pytest.raises(AlignmentError, match=r"2 of 157 samples.*first S3, S10; at worst 25%.*0\.26"):
        fitted.predict(with_calls(cohort, calls))
    assert np.isfinite(fitted.predict(with_calls(cohort, calls), max_missing=0.3)["prediction"]).all()


@pytest.mark.parametrize("side", ["model", "genotypes", "both"])
def test_align__without_a_map_names_match(cohort, monkeypatch, side):
    with_quick_model(monkeypatch)
    bare = with_variants(cohort, chrom="0", pos=0)
    fitted = fit(cohort if side == "genotypes" else bare, "y", recipe=Recipe(model="quick", folds=3))
    given = cohort if side == "model" else bare
    again = fit(cohort, "y", recipe=Recipe(model="quick", folds=3))
    order = np.random.default_rng(2).permutation(83)
    np.testing.assert_allclose(
        fitted.predict(given[:, order])["prediction"], again.predict(cohort)["prediction"], rtol=1e-5
    )


def test_align__imputed_genotypes_are_turned_too(cohort, fitted):
    calls = cohort.genotypes.read(slice(None))
    het, hom = (calls == 1).astype(np.float32), (calls == 2).astype(np.float32)
    het[4], hom[4] = 0.5, 0.25
    plain = replace(cohort, genotypes=ArrayGenotypes(calls, None, het, hom))
    other = turned(plain, np.array([4, 9]))
    hom2 = hom.copy()
    hom2[[4, 9]] = 1 - het[[4, 9]] - hom[[4, 9]]
    other = replace(other, genotypes=ArrayGenotypes(other.genotypes.calls, None, het, hom2))
    np.testing.assert_allclose(
        expected(fitted, other), expected(fitted, plain), atol=0.02 * np.std(expected(fitted, plain))
    )


def test_align__haplotypes_of_exchanged_alleles(monkeypatch):
    with_quick_model(monkeypatch)
    cohort = trait_cohort(missing=0.0)
    fitted = fit(cohort, "y", recipe=Recipe(model="quick", folds=3, encoding="haplotype"))
    pair = cohort.genotypes.read_haplotypes(slice(None)).copy()
    rows = np.array([2, 30, 31])
    pair[rows] = 1 - pair[rows]
    other = turned(cohort, rows)
    other = replace(other, genotypes=ArrayGenotypes(other.genotypes.calls, pair))
    np.testing.assert_allclose(expected(fitted, other), expected(fitted, cohort), rtol=1e-6)
    with pytest.raises(InputError, match="phased"):
        fitted.predict(replace(cohort, genotypes=ArrayGenotypes(cohort.genotypes.calls)))


def test_align__a_covariate_that_is_not_there(cohort, fitted):
    with pytest.raises(InputError, match="covariate `age`"):
        fitted.predict(replace(cohort, samples=cohort.samples.drop(columns="age")))


def test_align__a_handful_of_samples_proves_nothing_about_frequencies(cohort, fitted):
    one = cohort[np.array([11]), :]
    one = with_calls(one, one.genotypes.read(slice(None)))
    table = fitted.predict(one)
    np.testing.assert_allclose(table["prediction"], expected(fitted, cohort)[11:12], rtol=1e-6)
    assert table.attrs["notes"] == []


def test_align__matches_a_naive_twin(cohort, fitted):
    """Each variant looked up by hand, whatever its order, alleles and strand."""
    rng = np.random.default_rng(8)
    rows = rng.permutation(83)[:79]
    other = turned(cohort, np.array([1, 2, 60]))[:, rows]
    place = {
        (c, p): i for i, (c, p) in enumerate(zip(other.variants["chrom"], other.variants["pos"], strict=True))
    }
    calls = other.genotypes.read(slice(None))
    aligned = align(fitted.preparation, other)
    for v, row in enumerate(cohort.variants.itertuples()):
        at = place.get((row.chrom, row.pos))
        if at is None:
            naive = np.full(157, 3)
        else:
            naive = calls[at] if other.variants["alt"].iloc[at] == row.alt else 2 - calls[at]
        np.testing.assert_array_equal(aligned.samples.genotypes.codes[:, v], naive, err_msg=str(v))
    assert isinstance(aligned.samples.variants, pd.DataFrame)
