"""The tables beside PLINK and Oxford genotypes: .bim .pvar .fam .psam .sample, in and out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from pgenlib import PvarReader

from haplolens.data.schema import SAMPLE_COLUMNS
from haplolens.errors import InputError

_SEX = {"1": 1, "2": 2, "M": 1, "F": 2, "MALE": 1, "FEMALE": 2}


def read_bim(path: Path) -> pd.DataFrame:
    """Variants of a .bim: ``chrom pos id ref alt record cm``; A1, named first, is ALT and A2 is REF, as in PLINK 2."""
    table = _read(path, None, r"\s+")
    if table.shape[1] not in (5, 6):
        raise InputError(
            f"`{path}` has {table.shape[1]} columns, a .bim has 6 (chromosome, id, cM, position, A1, A2). "
            "Give the .bim that was written with the .bed."
        )
    columns = ["chrom", "id", "cm", "pos", "alt", "ref"]
    table.columns = columns if table.shape[1] == 6 else [c for c in columns if c != "cm"]
    table[["ref", "alt"]] = table[["ref", "alt"]].replace("0", ".")  # PLINK's missing allele
    return _variants(table, path)


def read_pvar(path: Path) -> pd.DataFrame:
    """Variants of a .pvar (plain, .gz or .zst): ``chrom pos id ref alt record``, ``cm`` and ``filter_info`` if there.

    ``alt`` still holds all ALT alleles, separated by commas.
    """
    if path.suffix == ".zst":
        return _read_packed_pvar(path)
    n_remarks, header = _pvar_header(path)
    if header is None:
        return read_bim(path)
    table = _read(path, n_remarks + 1, "\t" if "\t" in header else r"\s+")
    names = header.lstrip("#").split()
    if table.shape[1] < len(names):
        raise InputError(
            f"`{path}` has {table.shape[1]} columns under a header of {len(names)}. Write it again with plink2."
        )
    table = table.iloc[:, : len(names)]
    table.columns = [
        name.lower() if name in ("CHROM", "POS", "ID", "REF", "ALT", "CM", "INFO") else name for name in names
    ]
    return _variants(table, path)


def _pvar_header(path: Path) -> tuple[int, str | None]:
    """How many ``##`` lines there are, and the ``#CHROM`` line after them."""
    n_remarks = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("##"):
                return n_remarks, line.rstrip("\n") if line.startswith("#CHROM") else None
            n_remarks += 1
    raise InputError(f"`{path}` lists no variants. Give the .pvar that was written with the .pgen.")


def _read_packed_pvar(path: Path) -> pd.DataFrame:
    try:
        reader = PvarReader(str(path).encode())
    except RuntimeError as error:
        raise InputError(
            f"`{path}` cannot be unpacked ({error}). Write it again with `plink2 --make-just-pvar`."
        ) from None
    n = reader.get_variant_ct()
    alleles = [
        [reader.get_allele_code(row, k).decode() for k in range(reader.get_allele_ct(row))]
        for row in range(n)
    ]
    table = pd.DataFrame(
        {
            "chrom": [reader.get_variant_chrom(row).decode() for row in range(n)],
            "pos": [str(reader.get_variant_pos(row)) for row in range(n)],
            "id": [reader.get_variant_id(row).decode() for row in range(n)],
            "ref": [codes[0] for codes in alleles],
            "alt": [",".join(codes[1:]) for codes in alleles],
        }
    )
    return _variants(table, path)


def _read(path: Path, skip: int | None, separator: str) -> pd.DataFrame:
    """All columns as text; no value means missing."""
    try:
        return pd.read_csv(
            path, sep=separator, header=None, skiprows=skip, dtype=str, keep_default_na=False,
            quoting=csv.QUOTE_NONE, engine="c", encoding="utf-8",
        )  # fmt: skip
    except pd.errors.EmptyDataError:
        raise InputError(f"`{path}` is empty. Give the table that was written with the genotypes.") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is not a table ({str(error).strip()}). Write it again.") from None


def _variants(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Check and number the rows; position and cM as numbers."""
    pos = pd.to_numeric(table["pos"], errors="coerce")
    bad = pos.isna() | (pos < 0) | (pos % 1 != 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"`{path}` has no position for {bad.sum():,} of {len(table):,} variants, first `{table['id'].iat[row]}` "
            f"(line {row + 1:,} of the variants says `{table['pos'].iat[row]}`). Fill in base-pair positions, or 0 "
            "everywhere if there is no map."
        )
    out = table[["chrom", "id", "ref", "alt"]].copy()
    out["pos"] = pos.astype(np.int64)
    out["record"] = np.arange(len(table))
    if "cm" in table:
        cm = pd.to_numeric(table["cm"], errors="coerce").astype(float)
        if (cm.fillna(0) != 0).any():
            out["cm"] = cm
    if "info" in table:
        out["filter_info"] = table["info"]
    return out


def read_fam(path: Path) -> pd.DataFrame:
    """Samples of a .fam, with `SAMPLE_COLUMNS`; its phenotype column is not read."""
    table = _read(path, None, r"\s+")
    if table.shape[1] < 5:
        raise InputError(
            f"`{path}` has {table.shape[1]} columns, a .fam has 6 (family, id, father, mother, sex, phenotype). "
            "Give the .fam that was written with the .bed."
        )
    table = table.iloc[:, :5]
    table.columns = ["family_id", "sample_id", "father", "mother", "sex"]
    return make_samples(table, path)


def read_psam(path: Path) -> pd.DataFrame:
    """Samples of a .psam, with `SAMPLE_COLUMNS`; its phenotypes are not read."""
    lines = path.read_text(encoding="utf-8").splitlines()
    n_remarks = next((i for i, line in enumerate(lines) if not line.startswith("##")), len(lines))
    header = lines[n_remarks].split() if n_remarks < len(lines) else []
    if not header or header[0] not in ("#FID", "#IID"):
        return read_fam(path)
    table = _read(path, n_remarks + 1, r"\s+")
    table = table.iloc[:, : len(header)]
    table.columns = [name.lstrip("#") for name in header[: table.shape[1]]]
    renamed = {"FID": "family_id", "IID": "sample_id", "PAT": "father", "MAT": "mother", "SEX": "sex"}
    return make_samples(table.rename(columns=renamed), path)


def read_oxford_sample(path: Path) -> pd.DataFrame:
    """Samples of an Oxford .sample file: two header lines, ``ID_1 ID_2 missing`` and more."""
    table = _read(path, None, r"\s+")
    if len(table) < 3:
        raise InputError(
            f"`{path}` lists no samples under its two header lines. Give the .sample of this .bgen."
        )
    header, table = table.iloc[0].str.lower(), table.iloc[2:].reset_index(drop=True)
    table.columns = list(header)
    paired = len(header) > 1 and header.iat[1] not in ("missing", "sex")
    renamed = (
        {header.iat[0]: "family_id", header.iat[1]: "sample_id"} if paired else {header.iat[0]: "sample_id"}
    )
    samples = make_samples(table.rename(columns=renamed), path)
    if (samples["family_id"] == samples["sample_id"]).all():
        samples["family_id"] = ""
    return samples


def make_samples(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table with `SAMPLE_COLUMNS` from what a file gives.

    Where identifiers repeat across families (1 1, 2 1, ...) they become ``family_id``.

    Raises
    ------
    InputError
        If an identifier comes twice even so.
    """
    out = pd.DataFrame({"sample_id": table["sample_id"].astype(str)})
    for name in ("family_id", "father", "mother"):
        out[name] = table[name].astype(str).replace({"0": "", "NA": ""}) if name in table else ""
    sex = table["sex"].astype(str).str.upper().map(_SEX) if "sex" in table else pd.Series(0, out.index)
    out["sex"] = sex.fillna(0).astype(np.int8)
    if out["sample_id"].duplicated().any():
        joined = out["family_id"] + "_" + out["sample_id"]
        again = joined[joined.duplicated()].unique()
        if len(again) or (out["family_id"] == "").all():
            twice = out["sample_id"][out["sample_id"].duplicated()].unique()
            raise InputError(
                f"`{path}` lists {len(twice):,} sample identifiers more than once, first {', '.join(twice[:3])}. "
                "Give each sample a name of its own (or drop the copies)."
            )
        out["sample_id"] = joined
    return out[list(SAMPLE_COLUMNS)]


def write_pvar(variants: pd.DataFrame, path: Path) -> None:
    """Write a .pvar with INFO/R2 where ``info`` is known and CM where ``cm`` is."""
    names, columns = ["#CHROM", "POS", "ID", "REF", "ALT"], ["chrom", "pos", "id", "ref", "alt"]
    table = variants[columns].astype(str)
    head = "##source=haplolens\n"
    if "info" in variants:
        head += '##INFO=<ID=R2,Number=1,Type=Float,Description="Imputation quality">\n'
        table["info"] = [f"R2={value:.6g}" if value == value else "." for value in variants["info"]]
        names.append("INFO")
    if "cm" in variants:
        table["cm"] = [f"{value:.9g}" if value == value else "0" for value in variants["cm"]]
        names.append("CM")
    _write(path, head + "\t".join(names), table)


def write_psam(samples: pd.DataFrame, path: Path) -> None:
    """Write a .psam; columns beyond `SAMPLE_COLUMNS` follow as phenotypes."""
    extra = [str(name) for name in samples.columns if name not in SAMPLE_COLUMNS]
    table = pd.DataFrame(
        {
            "FID": samples["family_id"].replace("", "0"), "IID": samples["sample_id"],
            "PAT": samples["father"].replace("", "0"), "MAT": samples["mother"].replace("", "0"),
            "SEX": samples["sex"].map({1: "1", 2: "2"}).fillna("NA"),
        }
        | {name: [_cell(value) for value in samples[name]] for name in extra}
    )  # fmt: skip
    _write(path, "#" + "\t".join(table.columns), table.astype(str))


def _cell(value: object) -> str:
    """A phenotype as .psam text; PLINK splits at any white space."""
    if value is None or value != value:
        return "NA"
    return (
        "_".join(repr(float(value)).split())
        if isinstance(value, float | np.floating)
        else "_".join(str(value).split()) or "NA"
    )


def read_phenotypes(path: Path) -> pd.DataFrame:
    """The columns of our own .psam beyond the first five, numbers as numbers."""
    table = pd.read_csv(
        path, sep="\t", dtype=str, na_values=["NA"], keep_default_na=False, quoting=csv.QUOTE_NONE
    )
    table = table.iloc[:, 5:]
    for name in table:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if (numbers.isna() == table[name].isna()).all():
            table[name] = numbers
    return table


def _write(path: Path, head: str, table: pd.DataFrame) -> None:
    rows = zip(*(table[name].tolist() for name in table), strict=True)
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(head + "\n")
        out.writelines("\t".join(row) + "\n" for row in rows)
