"""Make src/haplolens/demo_data/chr20.{pgen,pvar,psam,gmap.gz}: phased 1000 Genomes, chr20:1-4 Mb, MAF >= 1 %.

HAPLOLENS_DATA=../shared/data python examples/make_chr20.py
"""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
from cyvcf2 import VCF
from pgenlib import PgenWriter

SOURCE = Path(os.environ.get("HAPLOLENS_DATA", "../shared/data")) / "human_chr20_phased"
TARGET = Path(__file__).parents[1] / "src" / "haplolens" / "demo_data" / "chr20"
FIRST, LAST, MIN_MAF = 1_000_000, 4_000_000, 0.01


def read_haplotypes() -> tuple[list[str], pd.DataFrame, np.ndarray]:
    """Sample names, biallelic variants with enough copies of the rarer allele, and (V, 2N) phased alleles."""
    vcf = VCF(str(SOURCE / "chr20_1-4Mb_502_phased.snps.vcf.gz"))
    rows, alleles = [], []
    for record in vcf:
        if not FIRST <= record.POS <= LAST or len(record.ALT) != 1:
            continue
        calls = record.genotype.array()  # (N, 3): two alleles, phased
        af = calls[:, :2].mean()
        if calls[:, 2].all() and min(af, 1 - af) >= MIN_MAF:
            name = record.ID or f"20:{record.POS}:{record.REF}:{record.ALT[0]}"
            rows.append(("20", record.POS, name, record.REF, record.ALT[0]))
            alleles.append(calls[:, :2].astype(np.int32).ravel())
    return vcf.samples, pd.DataFrame(rows, columns=["#CHROM", "POS", "ID", "REF", "ALT"]), np.array(alleles)


def write_map() -> None:
    """The stretch of the genetic map that holds the variants."""
    table = pd.read_csv(SOURCE / "chr20.b37.gmap.gz", sep="\t", dtype=str)
    place = table["pos"].astype(int)
    inside = table[(place >= FIRST - 50_000) & (place <= LAST + 50_000)]
    text = inside.to_csv(sep="\t", index=False)
    with open(f"{TARGET}.gmap.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.encode())


def main() -> None:
    """Write all four files."""
    samples, variants, alleles = read_haplotypes()
    writer = PgenWriter(
        os.fsencode(f"{TARGET}.pgen"),
        len(samples),
        variant_ct=len(variants),
        nonref_flags=False,
        hardcall_phase_present=True,
    )
    for row in alleles:
        writer.append_alleles(row, all_phased=True)
    writer.close()
    variants.to_csv(f"{TARGET}.pvar", sep="\t", index=False)
    table = pd.DataFrame({"#FID": "0", "IID": samples, "PAT": "0", "MAT": "0", "SEX": "NA"})
    table.to_csv(f"{TARGET}.psam", sep="\t", index=False)
    write_map()


if __name__ == "__main__":
    main()
