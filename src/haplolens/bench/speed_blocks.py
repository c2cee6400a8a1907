"""Time of Gabriel blocks, from a closed store to the table, against the whole of plink1.9 ``--blocks``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from haplolens.bench.records import record
from haplolens.bench.timing import measure, median_seconds
from haplolens.blocks.detect import default_max_kb
from haplolens.blocks.gabriel import find_gabriel
from haplolens.io.genotypes import import_genotypes
from haplolens.io.pgen import open_store
from haplolens.progress import Reporter

COHORTS = {
    "human_chr20_phased": "chr20_1-4Mb_502_phased.snps.vcf.gz",
    "mice_hs": "mice_hs1940.bed",
}
"""Folder of the benchmark data -> file."""


def blocks_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Gabriel blocks of phased people (at most twice plink1.9's time is wanted) and of mice."""
    records = []
    with reporter.step("speed: blocks", len(COHORTS)) as done:
        for name, file in COHORTS.items():
            with tempfile.TemporaryDirectory() as place:
                records += _blocks_of(
                    name, (data / name / file).resolve(), Path(place), threads, 1 if quick else 3
                )
            done(1)
    return records


def _blocks_of(name: str, path: Path, folder: Path, threads: int, turns: int) -> list[dict]:
    """Seconds of both programs on one cohort, and how many blocks each finds."""
    import_genotypes(path, folder / "store", engine="python", threads=threads)
    max_kb = default_max_kb(open_store(folder / "store").variants)

    def ours() -> int:
        return len(find_gabriel(open_store(folder / "store"), max_kb=max_kb, threads=threads))

    works: dict[str, Callable[[], object]] = {"haplolens": ours}
    if shutil.which("plink1.9") is not None:
        bed = _as_bed(path, folder)
        limits = ["--blocks-max-kb", f"{max_kb:g}", "--threads", str(threads)]
        command = ["plink1.9", "--bfile", bed, "--blocks", "no-pheno-req", *limits, "--out", "peer"]
        works["plink1.9"] = lambda: measure(command, folder)
    found = dict(zip(works, median_seconds(turns, *works.values()), strict=True))
    suite = f"blocks_{name}"
    records = [record(suite, method, "seconds", value, seconds=value) for method, value in found.items()]
    records.append(record(suite, "haplolens", "blocks", ours()))
    if "plink1.9" in found:
        n_theirs = len((folder / "peer.blocks").read_text().splitlines())
        ratio = found["haplolens"] / found["plink1.9"]
        records += [
            record(suite, "plink1.9", "blocks", n_theirs),
            record(suite, "haplolens", "times_the_seconds_of_plink1.9", ratio),
        ]
    return records


def _as_bed(path: Path, folder: Path) -> str:
    """Prefix of the same genotypes as PLINK files."""
    if path.suffix == ".bed":
        return str(path.with_suffix(""))
    measure(["plink1.9", "--vcf", str(path), "--keep-allele-order", "--make-bed", "--out", "bed"], folder)
    return "bed"
