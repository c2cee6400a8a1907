from haplolens.data.simulate import simulate_cohort
from haplolens.plan import plan


def need(step, needs):
    return next(one.n_bytes for one in needs if one.step == step)


def test_plan__the_mixed_model_needs_the_square_of_the_samples():
    small, large = (simulate_cohort(n, 30, seed=1) for n in (100, 1000))
    grows = [need("null model", plan(cohort, ["y"], 1, "mixed")) for cohort in (small, large)]
    assert grows[1] > 4 * 8 * 1000**2
    plain = need("null model", plan(large, ["y"], 1, "none"))
    assert plain < grows[1] / 10


def test_plan__more_traits_and_threads_need_more():
    cohort = simulate_cohort(50, 40, seed=1)
    one, many = plan(cohort, ["a"], 1, "none"), plan(cohort, ["a", "b", "c"], 4, "none")
    assert need("scan", many) > need("scan", one)
    assert [item.step for item in one] == ["genotypes", "null model", "scan", "fine-mapping"]


def test_plan__a_region_is_no_larger_than_the_cohort():
    few, many = (simulate_cohort(50, n, seed=1) for n in (30, 90))
    assert need("fine-mapping", plan(few, ["y"], 1)) < need("fine-mapping", plan(many, ["y"], 1)) / 3
