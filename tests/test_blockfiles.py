"""Block files of every kind, by content."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from haplolens.data.blocks import tile_blocks
from haplolens.errors import AlignmentError, InputError
from haplolens.io.blockfiles import read_blocks, write_blocks

GOLDEN = Path(__file__).parent / "golden"

FILES = {
    "ELIXIR boundaries": ("x_chr6.tsv", "START\tEND\n1\t20000\n20000\t45000"),
    "ELIXIR boundaries, CRLF and blank lines": (
        "x_chr6_TNFa.tsv",
        "START\tEND\r\n1\t20000\r\n20000\t45000\r\n\r\n",
    ),
    "ELIXIR hashes": ("haploblock_hashes_chr6.tsv", "START\tEND\tHASH\n1\t20000\t000\n20000\t45000\t001\n"),
    "ELIXIR quality control": ("combined.tsv", "chr6\t1\t20000\t19999\nchr6\t20000\t45000\t25000\n"),
    "block statistics": (
        "block_stats.tsv",
        "block\tstart\tend\tblock_length\tn_haplotypes\nchr6_1-20000\t1\t20000\t19999\t9\nchr6_20000-45000\t20000\t45000\t25000\t9\n",
    ),
    "PLINK .blocks.det": (
        "p.blocks.det",
        " CHR          BP1          BP2           KB  NSNPS SNPS\n"
        "   6            1        20000           20      2 rs3|rs4\n"
        "   6        20000        45000       25.001      2 rs5|rs6\n",
    ),
    "BED": ("x.bed", "track name=blocks\nchr6\t0\t20000\tone\nchr6\t19999\t45000\ttwo\n"),
    "LDetect": ("fourier_ls.bed", "chr \t start \t stop\nchr6 \t 0 \t 20000 \nchr6 \t 19999 \t 45000 \n"),
    "gpart": (
        "gpart.csv",
        '"","chr","start.index","end.index","start.rsID","end.rsID","start.bp","end.bp"\n'
        '"1","6",1,5,"a","b",1,20000\n"2","6",6,9,"c","d",20000,45000\n',
    ),
    "hapla .win": (
        "h.win",
        "#CHROM\tSTART\tEND\tLENGTH\tSIZE\tK\nchr6\t1\t20000\t19999\t8\t3\n6\t20000\t45000\t25000\t8\t4\n",
    ),
    "RTM-GWAS .block": (
        "r.block",
        "Block\tChromosome\tStart\tStop\tLength\tSNPs\tFilter\nLDB_6_1\t6\t1\t20000\t20000\t4\tPASS\nLDB_6_2\t6\t20000\t45000\t25001\t4\tPASS\n",
    ),
    "GHap": (
        "g.txt",
        "BLOCK CHR BP1 BP2 SIZE NSNP\nCHR6_B1 6 1 20000 19999 4\nCHR6_B2 6 20000 45000 25000 4\n",
    ),
    "haplolens": (
        "blocks.tsv",
        "block_id\tchromosome\tstart\tend\tn_variants\tmethod\nchr6_1-20000\t6\t1\t20000\t4\tgabriel\nchr6_2-4\t6\t20000\t45000\t2\tgap\n",
    ),
    "table": ("any.txt", "chrom,start,end\nchr06,1,20000\n6,20000,45000\n"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", FILES)
def test_read_blocks__knows_every_kind_by_its_content(kind, packed, tmp_path):
    name, text = FILES[kind]
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = read_blocks(path)
    assert found[["chrom", "start", "end"]].to_numpy().tolist() == [["6", 1, 20000], ["6", 20000, 45000]]
    assert found.attrs["format"] == kind.split(",")[0]


def test_read_blocks__golden_files_of_the_elixir_pipeline():
    assert read_blocks(GOLDEN / "blocks_elixir_boundaries_chr6.tsv")["end"].tolist() == [20000, 45000, 59000]
    hashes = read_blocks(GOLDEN / "blocks_elixir_hashes_chr6.tsv")
    assert [int(text, 2) for text in hashes["label"]] == [0, 1, 2]
    assert set(hashes["chrom"]) == {"6"}
    smooth = read_blocks(GOLDEN / "blocks_elixir_gaussian_chr6.tsv")
    assert len(smooth) == 21
    assert (smooth["start"].to_numpy()[1:] == smooth["end"].to_numpy()[:-1]).all()


def test_read_blocks__identifiers_are_placed_by_the_variants(tmp_path):
    path = tmp_path / "p.blocks"
    path.write_text("* rs2 rs3 rs4\n* rs9 rs1\n* lost\n")
    variants = pd.DataFrame({"chrom": ["1"] * 4, "pos": [10, 20, 30, 40], "id": ["rs1", "rs2", "rs3", "rs4"]})
    found = read_blocks(path, variants=variants)
    assert found[["start", "end"]].to_numpy().tolist() == [[20, 40], [10, 10]]
    with pytest.raises(AlignmentError, match="names none of the cohort's variants"):
        read_blocks(path, variants=variants.assign(id="other"))
    with pytest.raises(InputError, match=r"no `p.blocks.det` beside it"):
        read_blocks(path)
    (tmp_path / "p.blocks.det").write_text(FILES["PLINK .blocks.det"][1])
    assert read_blocks(path)["start"].tolist() == [1, 20000]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "", "no block"),
        ("a.tsv", "hello world\nthis is no table\n", "is no block file I know: line 1 reads `hello world`"),
        ("a_chr6.tsv", "START\tEND\n", "has a header but no block"),
        ("a_chr6.tsv", "START\tEND\n1\tx\n", "line 2: end is `x`, expected a whole number"),
        ("a_chr6.tsv", "START\tEND\n\n-5\t9\n", "line 3: start is `-5`"),
        ("a_chr6.tsv", "START\tEND\n50\t9\n", r"line 2: the block ends \(9\) before it starts \(50\)"),
        ("a_chr6.tsv", "START\tEND\tHASH\n50\t90\n", "line 2 has fewer columns"),
        ("a.bca", "x", "give the .win file"),
        ("a.bed", "\0\1\2", "not a text table"),
    ],
)
def test_read_blocks__says_what_is_wrong(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_blocks(tmp_path / name)


@pytest.fixture
def tiled():
    pos = [5, 90, 120, 300, 410, 500, 20, 60]
    variants = pd.DataFrame(
        {"chrom": ["6"] * 6 + ["X"] * 2, "pos": pos, "id": [f"rs{p}" for p in pos], "snp_index": np.arange(8)}
    )
    found = pd.DataFrame(
        {"chrom": ["6", "6", "X"], "start": [90, 410, 20], "end": [300, 500, 60], "method": "gabriel"}
    )
    return tile_blocks(found, variants), variants


@pytest.mark.parametrize("layout", ["tsv", "bed", "elixir"])
def test_write_blocks__reads_back_as_the_same_tiling(layout, tiled, tmp_path):
    table, variants = tiled
    paths = write_blocks(table, tmp_path / "out.tsv", layout)
    found = pd.concat([read_blocks(path) for path in paths], ignore_index=True)
    again = tile_blocks(found, variants)
    assert again[["chrom", "start", "end", "n_variants"]].equals(
        table[["chrom", "start", "end", "n_variants"]]
    )
    assert len(paths) == (2 if layout == "elixir" else 1)
    assert not list(tmp_path.glob("*.part"))


def test_write_blocks__elixir_bed_and_plink_text(tiled, tmp_path):
    table, variants = tiled
    write_blocks(table, tmp_path / "o.tsv", "elixir")
    assert (tmp_path / "o_chr6.tsv").read_text() == "START\tEND\n5\t90\n90\t301\n301\t410\n410\t500\n"
    assert (tmp_path / "o_chrX.tsv").read_text() == "START\tEND\n20\t60\n"
    write_blocks(table, tmp_path / "o.bed", "bed")
    assert (tmp_path / "o.bed").read_text().splitlines()[1] == "chr6\t89\t300\tchr6_90-300"
    write_blocks(table, tmp_path / "o.blocks", "blocks", variants=variants)
    assert (tmp_path / "o.blocks").read_text() == "* rs90 rs120 rs300\n* rs410 rs500\n* rs20 rs60\n"
    write_blocks(table, tmp_path / "o.blocks.det", "det", variants=variants)
    lines = (tmp_path / "o.blocks.det").read_text().splitlines()
    assert lines[0] == " CHR          BP1          BP2           KB  NSNPS SNPS"
    assert lines[1] == "   6           90          300        0.211      3 rs90|rs120|rs300"


def test_write_blocks__refuses_what_it_cannot_write(tiled, tmp_path):
    table, _ = tiled
    with pytest.raises(InputError, match="`gff` is no layout"):
        write_blocks(table, tmp_path / "o", "gff")
    with pytest.raises(InputError, match="give `variants` too"):
        write_blocks(table, tmp_path / "o", "det")
    assert not list(tmp_path.iterdir())
