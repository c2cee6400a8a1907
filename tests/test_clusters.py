"""Clusters of linked variants without a map."""

import numpy as np

from haplolens.blocks import clusters
from haplolens.blocks.clusters import find_clusters
from haplolens.blocks.ld import correlation
from linked_cohort import cohort_of, linked_cohort


def test_find_clusters__everyone_is_in_one_and_linked_to_its_leader(monkeypatch):
    linked = linked_cohort(6, 70, 95)
    cohort = cohort_of(linked.genotypes.calls, np.zeros(95), chrom="0")
    found = find_clusters(cohort, r2=0.4)
    members = [[int(x) for x in text.split(",")] for text in found["members"]]
    assert sorted(x for group in members for x in group) == list(range(95))
    sizes = [len(m) for m in members]
    assert sizes[0] == max(sizes) > 2
    squared = correlation(linked.genotypes.calls, linked.genotypes.calls) ** 2
    for group in members:
        assert ((squared[np.ix_(group, group)] > 0.4) | np.eye(len(group), dtype=bool)).all(axis=1).any()
    monkeypatch.setattr(clusters, "CHUNK", 13)
    assert find_clusters(cohort, r2=0.4, threads=3)["members"].tolist() == found["members"].tolist()


def test_find_clusters__nobody_leads_more_than_the_limit(monkeypatch):
    calls = np.tile(np.array([[0, 1, 2, 0, 1]], np.int8), (12, 1))
    monkeypatch.setattr(clusters, "MAX_VARIANTS", 5)
    found = find_clusters(cohort_of(calls, np.zeros(12), chrom="0"))
    assert [text.count(",") + 1 for text in found["members"]] == [5, 5, 2]
    assert find_clusters(linked_cohort(1, 9, 7)).empty
