"""What is installed here, and what a missing piece would mean."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version

from haplolens.parallel import available_threads

PEERS = {
    "plink2": ("--version", "imports biallelic files faster; oracle of the scan"),
    "plink1.9": ("--version", "oracle of the haploblocks"),
    "gemma": ("-h", "oracle of the mixed model"),
    "Rscript": ("--version", "runs susieR, oracle of the fine-mapping"),
    "bcftools": ("--version", "oracle of the VCF reader and writer"),
    "bedtools": ("--version", "oracle of the BED writer"),
    "gt": ("--version", "validates GFF3"),
}
"""Optional programs: how each tells its version, and what it is for here."""

EXTRAS = {"deep": "trains networks", "tune": "searches a predictor's options"}
"""Optional libraries by their extra, and what they are for."""


def doctor() -> list[dict]:
    """Libraries, optional peers, processors, memory and disk of this machine.

    Returns
    -------
    list of dict
        ``what``, ``found`` and ``note`` of each; a note that starts with "missing" is something to mend.
    """
    return [*_libraries(), *(_peer(name, *how) for name, how in PEERS.items()), *_machine()]


def _libraries() -> list[dict]:
    rows, extras = [], []
    for line in requires("haplolens") or []:
        name = re.split(r"[<>=!~ ;\[]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"](\w+)", line)
        if extra is None:
            rows.append(_library(name, "library", f"missing: pip install {name}"))
        elif extra[1] in EXTRAS:
            purpose = EXTRAS[extra[1]]
            extras.append(
                _library(name, purpose, f"optional, {purpose}: pip install 'haplolens[{extra[1]}]'")
            )
    return rows + extras


def _library(name: str, purpose: str, without: str) -> dict:
    try:
        return {"what": name, "found": version(name), "note": purpose}
    except PackageNotFoundError:
        return {"what": name, "found": "", "note": without}


def _peer(name: str, flag: str, purpose: str) -> dict:
    path = shutil.which(name)
    if path is None:
        return {"what": name, "found": "not installed", "note": f"optional: {purpose}"}
    answer = subprocess.run([path, flag], capture_output=True, text=True, check=False, timeout=60)
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return {"what": name, "found": lines[0].strip() if lines else "yes", "note": purpose}


def _machine() -> list[dict]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(".").free / 2**30
    return [
        {"what": "python", "found": platform.python_version(), "note": platform.platform()},
        {"what": "processors", "found": str(available_threads()), "note": "--threads uses all of them"},
        {"what": "memory", "found": f"{memory:.1f} GiB", "note": "`run` prints what it will need first"},
        {"what": "disk", "found": f"{free:.1f} GiB free", "note": "in this folder"},
    ]
