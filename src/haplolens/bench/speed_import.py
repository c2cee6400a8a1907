"""Time of an import with each engine, against plink2 ``--make-pgen`` of the same VCF."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from haplolens.bench.records import record
from haplolens.bench.timing import measure, median_seconds
from haplolens.io.genotypes import import_genotypes
from haplolens.progress import Reporter

VCF = "human_chr20_phased/chr20_1-4Mb_502_phased.snps.vcf.gz"
"""502 samples x 23,660 variants."""


def import_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Import to a store: plink2 itself, our Python engine, and ours with plink2 as its parser."""
    vcf = (data / VCF).resolve()
    with tempfile.TemporaryDirectory() as place, reporter.step("speed: import", 1) as done:
        folder = Path(place)
        works = {"python": lambda: import_genotypes(vcf, folder / "python", engine="python", threads=threads)}
        if shutil.which("plink2") is not None:
            command = ["plink2", "--vcf", str(vcf), "--threads", str(threads), "--make-pgen", "--out", "peer"]
            works["plink2_engine"] = lambda: import_genotypes(
                vcf, folder / "both", engine="plink2", threads=threads
            )
            works["plink2"] = lambda: measure(command, folder)
        found = dict(zip(works, median_seconds(1 if quick else 3, *works.values()), strict=True))
        done(1)
    records = [record("import", name, "seconds", value, seconds=value) for name, value in found.items()]
    if "plink2" in found:
        records += [
            record("import", name, "times_the_seconds_of_plink2", found[name] / found["plink2"])
            for name in ("python", "plink2_engine")
        ]
    return records
