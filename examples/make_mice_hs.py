"""Make examples/mice_hs.{pgen,pvar,psam,traits.tsv} from the heterogeneous-stock mice of `synbreedData`.

HAPLOLENS_DATA=../shared/data python examples/make_mice_hs.py
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from pgenlib import PgenReader, PgenWriter

SOURCE = Path(os.environ.get("HAPLOLENS_DATA", "../shared/data")) / "mice_hs"
TARGET = Path(__file__).parent / "mice_hs"

COLUMNS = {
    "sex": "sex",
    "Litter_x": "litter",
    "CageDensity_x": "cage_density",
    "cage": "cage",
    "Biochem.Age": "age",
    "Biochem.HDL": "HDL",
    "Biochem.LDL": "LDL",
    "Biochem.Tot.Cholesterol": "TotalCholesterol",
    "Biochem.Triglycerides": "Triglycerides",
    "Biochem.ALP": "ALP",
    "gemma_p1": "CD8",
    "gemma_p6": "MCH",
    "weight": "weight",
    "Obesity.BMI": "BMI",
}


def write_genotypes(n_samples: int) -> pd.DataFrame:
    """Write the .pgen and .pvar; A1 of the .bim, which its .bed counts, is ALT."""
    columns = ["chrom", "id", "cm", "pos", "alt", "ref"]
    variants = pd.read_csv(SOURCE / "mice_hs1940.bim", sep="\t", header=None, names=columns, dtype=str)
    source = PgenReader(os.fsencode(SOURCE / "mice_hs1940.bed"), raw_sample_ct=n_samples)
    target = PgenWriter(os.fsencode(f"{TARGET}.pgen"), n_samples, variant_ct=len(variants), nonref_flags=True)
    calls = np.empty(n_samples, np.int8)
    for row in range(len(variants)):
        source.read(row, calls)
        target.append_biallelic(calls)
    target.close()
    head = variants.rename(columns={"chrom": "#CHROM", "pos": "POS", "id": "ID", "ref": "REF", "alt": "ALT"})
    head[["#CHROM", "POS", "ID", "REF", "ALT"]].to_csv(f"{TARGET}.pvar", sep="\t", index=False)
    return variants


def main() -> None:
    """Write all four files."""
    names = ["FID", "IID", "PAT", "MAT", "SEX", "PHENO"]
    fam = pd.read_csv(SOURCE / "mice_hs1940.fam", sep=r"\s+", header=None, names=names, dtype=str)
    table = (
        pd.read_csv(SOURCE / "pheno.tsv", sep="\t", dtype=str).set_index("IID").loc[fam["IID"]].reset_index()
    )
    fam["SEX"] = table["sex"].map({"M": "1", "F": "2"}).fillna("0")
    psam = fam[["FID", "IID", "PAT", "MAT", "SEX"]].rename(columns={"FID": "#FID"})
    psam.to_csv(f"{TARGET}.psam", sep="\t", index=False)
    write_genotypes(len(fam))
    traits = table[["IID", *COLUMNS]].rename(columns=COLUMNS)
    for name in ("litter", "cage_density", "age", *list(COLUMNS.values())[5:]):
        traits[name] = [f"{float(entry):.6g}" if isinstance(entry, str) else "NA" for entry in traits[name]]
    traits.fillna("NA").to_csv(f"{TARGET}.traits.tsv", sep="\t", index=False)


if __name__ == "__main__":
    main()
