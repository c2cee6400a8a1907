from dataclasses import replace

import numpy as np
import pytest

from finemap_windows import reader, trait, window
from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.deconvolve.calibration import reliability
from haplolens.deconvolve.features import read_inputs
from haplolens.deconvolve.problems import PROXY_R2, _Builder, _Window, draw_problems
from haplolens.deconvolve.sources import People, draw_coalescent, held_out, open_sources
from haplolens.deconvolve.worlds import draw_world
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT, NOTHING_LEARNED
from haplolens.finemap.region_data import read_region
from haplolens.io.pgen import write_store


def _world(rng, **changes):
    plain = {
        "n": 2500, "binary": False, "count": np.eye(7)[1], "modes": np.eye(4)[0], "ncp": (200.0, 201.0), "pairs": 0.0,
        "background": 0.0, "beside": False, "beyond": 0.0, "hidden": 0.0, "panel": 0, "additive_only": False,
        "min_maf": 0.1, "quiet": False,
    }  # fmt: skip
    return replace(draw_world(rng), **plain | changes)


def _z2(problem):
    columns, trait = problem.columns, problem.trait
    return (columns.xty**2 / (columns.gram.scale * trait.yty / (trait.n - 1))).reshape(columns.factor.shape)


@pytest.mark.parametrize("n", [800, 12_000])
def test_problems__a_cause_has_the_z_score_it_was_given(n):
    rng = np.random.default_rng(3)
    problems = draw_problems(_world(rng, n=n, ncp=(60.0, 60.1)), [], np.full(20, 30), 2, rng)
    z2 = [_z2(p)[0, p.truth.causes[0][0]] for p in problems if p.truth.causes]
    assert len(z2) > 30
    assert abs(np.mean(z2) - 60.0 * (1 - 30 / n)) < 8.0


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_problems__modes_are_those_of_alt(mode):
    rng = np.random.default_rng(mode)
    problems = draw_problems(_world(rng, modes=np.eye(4)[mode]), [], np.full(12, 40), 2, rng)
    told = [
        (int(p.truth.modes[0]), _z2(p)[:, p.truth.causes[0][0]].argmax(), p)
        for p in problems
        if p.truth.causes
    ]
    assert np.mean([a == b for a, b, _ in told]) > 0.9
    flips = [a != mode for a, _, _ in told]
    assert any(flips) == (mode in (1, 2))  # where ALT is the major allele


def test_problems__hidden_causes_are_told_by_their_friends():
    rng = np.random.default_rng(1)
    problems = draw_problems(_world(rng, hidden=1.0), [], np.full(25, 60), 2, rng)
    with_causes = [p for p in problems if p.truth.causes]
    assert with_causes
    assert not any(p.truth.complete for p in with_causes)
    for p in with_causes:
        if p.truth.known and len(p.truth.causes[0]) > 1:
            friends = p.truth.causes[0]
            weights = ENCODING_WEIGHTS[0]
            assert weights[1] == 2.0
            assert np.abs(p.columns.gram.correlation(friends)).min() > 2 * PROXY_R2 - 1.1


@pytest.mark.parametrize("panel", [0, 300])
def test_problems__causes_beyond_the_edges_are_felt_and_never_told(panel):
    rng = np.random.default_rng(6)
    told = {"count": np.eye(7)[0], "panel": panel, "beside": True, "beyond": 600.0}
    strongest = {}
    for acting in (0, 1, 1000):
        world = _world(rng, **told, acting_beyond=acting)
        problems = draw_problems(world, [], np.full(20, 30), 3, rng)
        assert {p.columns.factor.shape[1] for p in problems} == {30}
        assert not any(p.truth.causes for p in problems)
        assert all((p.trait.neighbours is None) == (panel > 0) for p in problems)
        strongest[acting] = np.median([np.nanmax(_z2(p)) for p in problems])
    assert strongest[1] > 2 * strongest[0]
    assert strongest[1000] > 2 * strongest[0]


def test_problems__beyond_the_edges_nothing_is_typed_or_accepted():
    rng = np.random.default_rng(4)
    study, _ = draw_coalescent(90, 700, 0, False, rng)
    inside = np.zeros(90, bool)
    inside[33:70] = True
    window = _Window(_world(rng, hidden=1.0, beyond=10.0), "own", study, None, rng, inside)
    assert not window.typed[~inside].any()
    assert window.typed.sum() == 37 - 37 // 8
    assert inside[window.able(0)].all()
    typed = np.flatnonzero(window.typed)
    friends = 0
    for variant in np.flatnonzero(inside):
        accepted = typed[window.accepted(int(variant))]
        assert len(np.unique(accepted)) == len(accepted)
        both = np.atleast_2d(np.corrcoef((window.rows[0] + 2 * window.rows[1])[[variant, *accepted]]))
        assert (both[0, 1:] ** 2 >= PROXY_R2 - 1e-4).all()
        friends += len(accepted) * (not window.typed[variant])
    assert friends > 0
    dosage = window.rows[0] + 2 * window.rows[1]
    across = np.corrcoef(dosage)[np.ix_(window.outside, typed)] ** 2
    assert len(window.outside) < 53  # of the neighbours, those that nothing typed stands for
    assert across.max() < PROXY_R2 + 1e-4


def test_problems__a_cause_inside_is_told_by_its_place_inside():
    rng = np.random.default_rng(12)
    world = _world(rng, beside=True, beyond=40.0, acting_beyond=3, ncp=(300.0, 301.0))
    problems = draw_problems(world, [], np.full(20, 30), 2, rng)
    at = [(p, p.truth.causes[0][0]) for p in problems if p.truth.causes]
    assert len(at) > 30
    assert np.mean([_z2(p)[0, cause] > 0.7 * np.nanmax(_z2(p)) for p, cause in at]) > 0.9


def test_worlds__what_acts_beyond_the_edges_is_seen_or_not_there():
    rng = np.random.default_rng(15)
    worlds = [draw_world(rng) for _ in range(300)]
    assert all(world.beside for world in worlds if world.beyond)
    assert not any(world.beside for world in worlds if world.panel or world.additive_only)
    assert 0.05 < np.mean([world.beyond > 0 for world in worlds]) < 0.25


def test_worlds__regions_of_quiet_worlds_that_are_looked_at_mostly_hold_a_cause():
    rng = np.random.default_rng(13)
    quiet = [world for world in (draw_world(rng) for _ in range(200)) if world.quiet]
    assert len(quiet) > 20
    assert all(world.beyond == 0.0 for world in quiet)
    assert any(world.beside for world in quiet)  # LD with neighbours alone is no reason for doubt
    seen = []
    for world in quiet:
        plain = replace(world, panel=0, hidden=0.0, n=min(world.n, 2000))
        seen += draw_problems(plain, [], np.full(4, 25), 2, rng)
    signal = [bool(p.truth.causes) for p in seen if np.nanmax(_z2(p)) > 30.0]
    assert len(signal) > 20
    assert np.mean(signal) > 0.6


def test_problems__scores_of_a_panel_are_the_studys_own():
    rng = np.random.default_rng(5)
    world = _world(rng, panel=300, other=True, ncp=(60.0, 60.1))
    problems = draw_problems(world, [], np.full(20, 30), 2, rng)
    z2 = [_z2(p)[0, p.truth.causes[0][0]] for p in problems if p.truth.causes]
    assert abs(np.mean(z2) - 60.0) < 10.0
    assert all(p.trait.panel == 300 for p in problems)


def test_problems__the_same_seed_is_the_same_problem():
    drawn = []
    for _ in range(2):
        rng = np.random.default_rng(9)
        drawn.append(draw_problems(draw_world(rng), [], np.array([20, 33]), 3, rng))
    for one, two in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one.columns.xty, two.columns.xty)


def test_problems__a_region_is_read_as_fine_mapping_reads_it():
    rng = np.random.default_rng(7)
    cohort = window(301, 75, seed=6)
    calls = cohort.genotypes.read(slice(None))
    y = trait(calls[np.abs(calls.mean(axis=1) - 1).argmin()], 0.1, seed=2)
    y = (y - y.mean()) / y.std(ddof=1)
    world = _world(rng, n=301, beside=True)
    inside = np.zeros(75, bool)
    inside[19:52] = True
    own = _Window(world, "own", People.of(calls), None, rng, inside)
    products = (own.rows.reshape(-1, 301) @ y).reshape(2, 75)
    columns, told = _Builder(world, own)(products, float(y @ y))
    data = read_region(replace(reader(cohort, y), columns=np.flatnonzero(inside)), y, neighbours=True)
    both = [
        read_inputs(c, t, fit_variants(c, t, FLAT), NOTHING_LEARNED, 0.5)
        for c, t in ((columns, told), (data.columns, data.trait))
    ]
    for name in ("variants", "pairs", "slots", "start", "modes", "context"):
        np.testing.assert_allclose(*(getattr(one, name) for one in both), atol=2e-3, err_msg=name)


@pytest.mark.parametrize("binary", [False, True])
def test_problems__neighbours_score_as_the_variants_inside_do(binary):
    """With n copies of few people, as for n people: a neighbour foretells a variant that says the same, as it is."""
    rng = np.random.default_rng(14)
    world = _world(rng, n=6000, binary=binary, beside=True, beyond=200.0, acting_beyond=1000)
    problems = draw_problems(world, [], np.full(30, 40), 2, rng)
    z = [np.sqrt(_z2(p)[0]) for p in problems]
    bound = [np.flatnonzero(p.trait.neighbours.ld > 0.85) for p in problems]
    told = np.concatenate([np.abs(p.trait.neighbours.z[at]) for p, at in zip(problems, bound, strict=True)])
    own = np.concatenate([one[at] for one, at in zip(z, bound, strict=True)])
    assert len(own) > 30
    assert np.corrcoef(own, told)[0, 1] > 0.9
    assert np.polyfit(own, told, 1)[0] == pytest.approx(0.95, abs=0.1)


def test_problems__quiet_worlds_are_looked_at_where_there_is_signal():
    rng = np.random.default_rng(11)
    quiet = _world(rng, quiet=True, count=np.array([0.9, 0.1, 0, 0, 0, 0, 0]), ncp=(60.0, 60.1))
    problems = draw_problems(quiet, [], np.full(6, 30), 2, rng)
    with_cause = np.mean([bool(p.truth.causes) for p in problems])
    assert with_cause > 0.5


def test_problems__case_control_of_any_size_is_a_score_statistic():
    rng = np.random.default_rng(8)
    world = _world(rng, n=9000, binary=True, prevalence=0.3, count=np.eye(7)[0])
    problems = draw_problems(world, [], np.full(8, 30), 2, rng)
    assert all(p.trait.residual_variance == 1.0 for p in problems)
    z2 = np.concatenate([_z2(p)[0] for p in problems])
    assert 0.6 < z2.mean() < 1.5
    assert all(abs(p.trait.n - 9000) <= 1000 for p in problems)


def test_coalescent__another_population_has_other_frequencies():
    rng = np.random.default_rng(2)
    apart = {}
    for other in (False, True):
        study, panel = draw_coalescent(200, 1000, 1000, other, rng)
        apart[other] = np.abs(study.maf - panel.maf).mean()
    assert apart[True] > 2 * apart[False]


def test_sources__own_files_are_split_and_never_overlap(tmp_path):
    cohort = window(90, 150, seed=4)
    write_store(cohort, tmp_path / "own")
    path = tmp_path / "own.pgen"
    train, test = (open_sources(None, [path], test=test) for test in (False, True))
    assert train[0].calls.shape == (120, 90)
    assert test[0].calls.shape == (30, 90)
    both = np.concatenate([train[0].calls, test[0].calls])
    np.testing.assert_array_equal(both, cohort.genotypes.read(slice(None)))


def test_sources__what_is_held_out_is_named_in_the_plan(tmp_path):
    cohort = window(30, 40, seed=4)
    pos = cohort.variants["pos"].to_numpy()
    assert held_out(cohort, {"test_from": int(pos[25])}, tmp_path).sum() == 15
    assert held_out(cohort, {"test_chroms": ["1"]}, tmp_path).all()
    assert not held_out(cohort, {}, tmp_path).any()
    loci = tmp_path / "loci.tsv"
    ids = cohort.variants["id"]
    loci.write_text("".join(f"{name}\tL{i // 10}\n" for i, name in enumerate(ids)))
    held = held_out(cohort, {"loci": "loci.tsv", "test_loci": 2}, tmp_path)
    np.testing.assert_array_equal(np.flatnonzero(held), np.arange(20, 40))


def test_reliability__of_honest_pips_holds_the_truth():
    rng = np.random.default_rng(0)
    pips = [rng.beta(0.15, 1.5, 70) for _ in range(300)]
    truth = [rng.random(70) < p for p in pips]
    for one in reliability(pips, truth, np.arange(300) // 5):
        assert one.seen_low <= one.said <= one.seen_high
    liars = reliability([p**0.5 for p in pips], truth, np.arange(300) // 5)
    assert not all(b.seen_low <= b.said <= b.seen_high for b in liars)


def test_reliability__of_few_regions_stays_between_0_and_1_and_counts_no_empty_draw():
    pips = [np.array([0.95, 0.3]), np.array([0.95, 0.3, 0.2]), *([np.array([0.3, 0.3, 0.4, 0.2])] * 9)]
    truth = [p > 0.9 for p in pips]
    middle, high = reliability(pips, truth, np.arange(11))
    assert (middle.n, middle.seen, middle.seen_low) == (39, 0.0, 0.0)
    # in one draw of nine neither of the first two is drawn: it says nothing of the bin
    assert (high.n, high.seen, high.seen_low, high.seen_high) == (2, 1.0, 1.0, 1.0)
    some = reliability(
        [np.array([0.97, 0.96])] * 5, [np.array([k > 0, True]) for k in range(5)], np.arange(5)
    )
    assert 0.0 < some[0].seen_low < some[0].seen < some[0].seen_high == 1.0
