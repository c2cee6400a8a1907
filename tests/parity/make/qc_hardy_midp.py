"""Make tests/golden/qc_hardy_midp.tsv: Hardy-Weinberg mid-p of chosen genotype counts, by plink2 --hardy midp.

python tests/parity/make/qc_hardy_midp.py        (needs plink2; its version stands in the file's first line)
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

GOLDEN = Path(__file__).parents[2] / "golden" / "qc_hardy_midp.tsv"
N_SAMPLES = 600


def draw_counts() -> np.ndarray:
    """(V, 3) counts of 0, 1, 2 copies of ALT: equilibrium, excess and lack of heterozygotes, corners."""
    rng = np.random.default_rng(20)
    af, inbreeding = rng.uniform(0.002, 0.998, 60), rng.choice([0, 0, 0.1, 0.4, 0.9], 60)
    het = 2 * af * (1 - af) * (1 - inbreeding)
    drawn = [rng.multinomial(N_SAMPLES, [1 - a - h / 2, h, a - h / 2]) for a, h in zip(af, het, strict=True)]
    corners = [
        [0, 600, 0],
        [300, 0, 300],
        [599, 1, 0],
        [599, 0, 1],
        [0, 1, 599],
        [150, 300, 150],
        [1, 300, 299],
    ]
    return np.array([*drawn, *corners])


def run_plink2(counts: np.ndarray, folder: Path) -> pd.DataFrame:
    """plink2's table, one row per row of counts."""
    head = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">']
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = [*head, "\t".join([*columns, *(f"S{i}" for i in range(N_SAMPLES))])]
    for row, count in enumerate(counts):
        calls = np.repeat(["0/0", "0/1", "1/1"], count)
        lines.append("\t".join(["1", str(row + 1), f"v{row}", "A", "G", ".", ".", ".", "GT", *calls]))
    (folder / "x.vcf").write_text("\n".join(lines) + "\n")
    command = ["plink2", "--vcf", "x.vcf", "--hardy", "midp", "--out", "x"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return pd.read_csv(folder / "x.hardy", sep="\t").set_index("ID")


def main() -> None:
    """Write the golden file."""
    counts = draw_counts()
    version = subprocess.run(
        ["plink2", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        table = run_plink2(counts, Path(folder))
    rows = pd.DataFrame(counts, columns=["hom_ref", "het", "hom_alt"])
    rows["midp"] = [f"{table.loc[f'v{row}', 'MIDP']:.6g}" for row in range(len(rows))]
    GOLDEN.write_text(f"# {version}: --hardy midp\n" + rows.to_csv(sep="\t", index=False))


if __name__ == "__main__":
    main()
