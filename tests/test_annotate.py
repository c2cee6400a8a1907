import numpy as np
import pandas as pd

from haplolens.data.annotate import annotate, known_nearby, nearest_gene

GENES = pd.DataFrame(
    [("1", 100, 200, "A"), ("1", 150, 900, "B"), ("1", 5000, 6000, "C"), ("2", 10, 20, "D")],
    columns=["chrom", "start", "end", "name"],
)


def test_nearest_gene__inside_between_and_nowhere():
    chrom = np.array(["1", "1", "1", "2", "3"])
    pos = np.array([120, 2951, 2949, 10**6, 5])
    assert nearest_gene(chrom, pos, GENES).tolist() == ["A", "C", "B", "D", None]


def test_nearest_gene__agrees_with_a_loop_over_many():
    rng = np.random.default_rng(1)
    genes = pd.DataFrame({"chrom": "7", "start": rng.integers(1, 10**6, 37)})
    genes["end"] = genes["start"] + rng.integers(1, 10**4, 37)
    genes["name"] = [f"g{i}" for i in range(37)]
    pos = rng.integers(1, 10**6, 2300)

    def distance(at, gene):
        return max(gene.start - at, at - gene.end, 0)

    expected = [min(genes.itertuples(), key=lambda g, at=at: distance(at, g)).name for at in pos]
    assert nearest_gene(np.full(len(pos), "7"), pos, genes).tolist() == expected


def test_known_nearby__names_all_within_reach_once():
    known = pd.DataFrame(
        [("1", 1000, 1000, "T2D"), ("1", 90_000, 90_000, "LDL"), ("1", 90_001, 90_001, "T2D")],
        columns=["chrom", "start", "end", "name"],
    )
    found = known_nearby(np.array(["1", "1", "2"]), np.array([50_000, 500_000, 1000]), known)
    assert found.tolist() == ["T2D,LDL", None, None]


def test_annotate__adds_only_what_it_was_given():
    variants = pd.DataFrame({"chromosome": ["1"], "position": [150]}, index=[9])
    assert list(annotate(variants, None, None).columns) == []
    found = annotate(variants, GENES, None)
    assert found.loc[9, "nearest_gene"] == "A"
