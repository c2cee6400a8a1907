"""Golden files of the import: a VCF with every kind of call, and what plink2 makes of it.

Made with PLINK v2.00a3.5 (9 Aug 2022), Debian 12:  python tests/parity/make/import_plink2.py
"""

from __future__ import annotations

import subprocess
from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden"
SAMPLES = ["a", "b", "c", "d", "e", "f"]
CALLS = [
    "1 5 rs1 A C 0/1 1|0 ./1 1 . 1/1",
    "1 5 . AT A,G 0/1 1|2 2|1 2/2 .|1 0|2",
    "1 8 . A <DEL> 0|1 0/0 1/1 0/1 1|0 ./.",
    "2 6 . A *,T 0|1 0/2 2/2 1|2 1/1 0/0",
    "X 6 . A ACGT 0 1 0/1 . 1/1 1",
    "MT 9 . A G 0 1 1 . 1 0",
]
DOSAGES = ["3 5 d1 A C 0.25 1.5 2 . 0.0625 1", "3 9 d2 AT A 0 0.75 1.875 1 2 ."]


def vcf(path: Path, lines: list[str], field: str) -> None:
    """Write one of the two inputs."""
    head = ["##fileformat=VCFv4.2"]
    head += [f"##contig=<ID={chrom}>" for chrom in dict.fromkeys(line.split()[0] for line in lines)]
    kind = "Number=1,Type=String" if field == "GT" else "Number=A,Type=Float"
    head.append(f'##FORMAT=<ID={field},{kind},Description="{field}">')
    head.append(
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *SAMPLES])
    )
    rows = ["\t".join([*(cells := line.split())[:5], ".", ".", ".", field, *cells[5:]]) for line in lines]
    path.write_text("\n".join([*head, *rows]) + "\n")


def plink2(*options: object) -> None:
    """Run the peer."""
    subprocess.run(["plink2", *map(str, options)], check=True, capture_output=True)


def main() -> None:
    """Make all of them."""
    calls, dosages = GOLDEN / "import_calls", GOLDEN / "import_dosages"
    vcf(calls.with_suffix(".vcf"), CALLS, "GT")
    vcf(dosages.with_suffix(".vcf"), DOSAGES, "DS")
    plink2("--vcf", f"{calls}.vcf", "--vcf-half-call", "missing", "--make-pgen", "--out", calls)
    plink2("--vcf", f"{dosages}.vcf", "dosage=DS", "--make-pgen", "--out", dosages)
    for version in ("bgen-1.1", "bgen-1.2", "bgen-1.3"):
        out = f"{dosages}_{version[-1]}"
        bits = [] if version == "bgen-1.1" else ["bits=16"]
        plink2("--pfile", dosages, "--export", version, "ref-first", *bits, "--out", out)
    for log in GOLDEN.glob("import_*.log"):
        log.unlink()


if __name__ == "__main__":
    main()
