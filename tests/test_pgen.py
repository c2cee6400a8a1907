"""The store: lazy, sliced, read from many threads, written and read back."""

from __future__ import annotations

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.errors import InputError, OutputError
from haplolens.io.genotypes import read_genotypes
from haplolens.io.pgen import open_store, write_store
from haplolens.io.storewriter import HetFile

N, V = 7, 41


def make_cohort(kind: str, seed: int = 3) -> Cohort:
    """In memory: hard calls, phased, or with dosages that calls do not follow from."""
    rng = np.random.default_rng(seed)
    haplotypes = rng.integers(0, 2, (V, 2 * N)).astype(np.int8)
    missing = rng.random((V, N)) < 0.2
    unphased = rng.random((V, N)) < 0.2
    calls = haplotypes[:, 0::2] + haplotypes[:, 1::2]
    calls[missing] = -9
    lost = missing | (unphased & (calls == 1))
    haplotypes[np.repeat(lost, 2, axis=1)] = -9
    het = hom = None
    if kind == "dosage":
        p = rng.dirichlet([1, 1, 1], (V, N)).astype(np.float32)
        het, hom = p[:, :, 1], p[:, :, 2]
        het[missing] = hom[missing] = np.nan
    variants = pd.DataFrame(
        {
            "chrom": ["1"] * 11 + ["2"] * 13 + ["X"] * 17, "pos": np.arange(V) * 10 + 1,
            "id": [f"v{i}" for i in range(V)], "ref": "A", "alt": ["C", "AT"][0],
            "af": np.nan, "snp_index": np.arange(V), "cm": np.arange(V) / 7,
        }
    )  # fmt: skip
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(N)], "family_id": "", "father": "", "mother": "",
            "sex": np.array([1, 2, 0, 1, 2, 1, 2], np.int8), "height": [1.5, np.nan, 3, 4, 5, 6, 7],
            "site": ["a b", "c", "c", "d", None, "d", "d"],
        }
    )  # fmt: skip
    genotypes = ArrayGenotypes(calls, haplotypes if kind != "calls" else None, het, hom)
    return Cohort(genotypes, variants, samples, "GRCh38", {"inputs": [{"file": "x", "sha256": "y"}]})


@pytest.fixture(params=["calls", "phased", "dosage"])
def pair(request, tmp_path):
    """A cohort in memory and its store."""
    cohort = make_cohort(request.param)
    write_store(cohort, tmp_path / "store")
    return cohort, open_store(tmp_path / "store")


def compare(memory, stored):
    """Every way to read, on every kind of index."""
    v = memory.n_variants
    mask = np.arange(v) % 3 == 1
    some = np.array([v // 2, 1, 1, -1])
    for columns in (slice(None), slice(2, 9), slice(1, v, 3), some, mask, np.arange(1, v - 1), slice(2, 2)):
        assert np.array_equal(memory.read(columns), stored.read(columns))
        np.testing.assert_allclose(memory.read_dosage(columns), stored.read_dosage(columns), atol=1e-4)
        for a, b in zip(memory.read_indicators(columns), stored.read_indicators(columns), strict=True):
            assert b.dtype == np.float32
            np.testing.assert_allclose(a, b, atol=1e-4)
        if memory.has_phase:
            assert np.array_equal(memory.read_haplotypes(columns), stored.read_haplotypes(columns))


def test_store__reads_as_in_memory(pair):
    memory, stored = pair
    assert (stored.genotypes.has_phase, stored.genotypes.has_dosage) == (
        memory.genotypes.has_phase, memory.genotypes.has_dosage,
    )  # fmt: skip
    compare(memory.genotypes, stored.genotypes)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (np.array([4, 1, 6]), np.arange(5, 20)),
        (slice(1, 6, 2), slice(None)),
        (np.array([3, 3, 0]), np.array([9, 1, 30])),
        (np.arange(N) > 2, np.arange(V) % 2 == 0),
    ],
)
def test_store__slices_as_in_memory(pair, rows, columns):
    memory, stored = (cohort[rows, columns] for cohort in pair)
    compare(memory.genotypes, stored.genotypes)
    again_memory, again_stored = (c[np.array([1, 0]), np.array([2, 0, 1])] for c in (memory, stored))
    compare(again_memory.genotypes, again_stored.genotypes)
    assert again_stored.samples["sample_id"].tolist() == again_memory.samples["sample_id"].tolist()


def test_store__tables_come_back(pair):
    memory, stored = pair
    columns = ["chrom", "pos", "id", "ref", "alt", "snp_index", "cm"]
    pd.testing.assert_frame_equal(stored.variants[columns], memory.variants[columns], check_dtype=False)
    np.testing.assert_allclose(
        stored.variants["af"], np.nanmean(memory.genotypes.read_dosage(slice(None)), axis=1) / 2, atol=1e-4
    )
    assert stored.build == "GRCh38"
    assert stored.provenance["inputs"] == [{"file": "x", "sha256": "y"}]
    assert stored.samples["sex"].tolist() == memory.samples["sex"].tolist()
    np.testing.assert_array_equal(stored.samples["height"], memory.samples["height"])
    assert stored.samples["site"].fillna("").tolist() == ["a_b", "c", "c", "d", "", "d", "d"]


def test_store__same_genotypes_same_bytes(pair, tmp_path):
    write_store(pair[1], tmp_path / "again")
    write_store(open_store(tmp_path / "again"), tmp_path / "third")
    for path in sorted(tmp_path.glob("again.*")):
        assert path.read_bytes() == path.with_name(path.name.replace("again", "third")).read_bytes()


def test_store__threads_share_it(pair):
    memory, stored = pair
    expected = memory.genotypes.read(slice(None))
    with ThreadPoolExecutor(4) as pool:
        reads = list(pool.map(lambda i: stored.genotypes.read(slice(i % 5, V)), range(60)))
    assert all(np.array_equal(found, expected[i % 5 :]) for i, found in enumerate(reads))


def test_store__can_be_sent_to_another_process(pair):
    memory, stored = pair
    sent = pickle.loads(pickle.dumps(stored.genotypes.take(np.array([2, 0]), None)))
    compare(memory.genotypes.take(np.array([2, 0]), None), sent)


def test_store__writing_leaves_nothing_else(pair, tmp_path):
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    write_store(make_cohort("calls"), tmp_path / "store")
    assert not (tmp_path / "store.calls.pgen").exists()
    assert not (tmp_path / "store.phet.npy").exists()


def test_store__temporary_one_goes_with_the_last_view(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_store(make_cohort("calls"), tmp_path / "store")
    (tmp_path / "store.store.json").unlink()
    view = read_genotypes(tmp_path / "store.pgen")[[1, 2], :]
    folder = view.genotypes.prefix.parent
    assert folder.parent == tmp_path / "temporary"
    gc.collect()
    assert view.genotypes.read(slice(0, 2)).shape == (2, 2)
    del view
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("suffix", [".pvar", ".psam", ".pgen", ".columns.npz", ".store.json"])
def test_store__a_missing_part_is_named(tmp_path, suffix):
    write_store(make_cohort("calls"), tmp_path / "store")
    (tmp_path / f"store{suffix}").unlink()
    with pytest.raises(InputError, match=f"store{suffix}` is missing"):
        open_store(tmp_path / "store")


def test_store__cannot_be_empty(tmp_path):
    with pytest.raises(InputError, match="7 samples, 0 variants"):
        write_store(make_cohort("calls")[:, np.zeros(V, bool)], tmp_path / "store")


def test_store__folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Choose another folder"):
        write_store(make_cohort("calls"), tmp_path / "file" / "store")


def test_het_file__begins_late_and_is_a_npy(tmp_path):
    file = HetFile(tmp_path / "phet.npy", 3)
    implied = np.array([[0.5, 1.5, np.nan]], np.float32)
    file.append(implied, np.array([[0.5, 0.5, np.nan]], np.float32), 1)
    assert not (tmp_path / "phet.npy").exists()
    file.append(implied, np.array([[0.25, 0.5, np.nan]], np.float32), 1)
    file.append(implied, None, 1)
    assert file.close()
    assert np.load(tmp_path / "phet.npy", mmap_mode="r").tolist() == [
        [65535] * 3,
        [8192, 65535, 65535],
        [65535] * 3,
    ]
