"""Writes tests/golden/export_*: the files of `findings_fixture.tiny_findings`, as they stood when they were checked.

They were accepted on 22 November by gt gff3validator 1.6.2, vcf-validator (vcftools 0.1.16), bcftools and
tabix 1.16 and bedtools 2.30.0 (tests/parity/test_parity_export.py), and read line by line.
Run from the root of the repository: python tests/parity/make/export_golden.py
"""

import gzip
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

from findings_fixture import tiny_cohort, tiny_findings  # noqa: E402
from haplolens.io.export import write_findings  # noqa: E402

with tempfile.TemporaryDirectory() as folder:
    for path in write_findings(tiny_findings(), tiny_cohort(), Path(folder)):
        if path.suffix == ".tbi":
            continue
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        (TESTS / "golden" / f"export_{path.name.removesuffix('.gz')}").write_bytes(content)
