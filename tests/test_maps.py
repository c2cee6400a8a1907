import gzip

import numpy as np
import pytest

from haplolens.data.genetic_map import add_cm, interpolate_cm
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import AlignmentError, InputError
from haplolens.io.maps import read_genes, read_genetic_map, read_known_hits


def write(folder, text, name="map.txt"):
    path = folder / name
    path.write_text(text)
    return path


MAPS = {
    "shapeit4": ("pos\tchr\tcM\n100\tchr7\t0.0\n300\tchr7\t0.5\n", "m"),
    "hapmap": ("chr position COMBINED_rate(cM/Mb) Genetic_Map(cM)\n7 100 2 0\n7 300 0 .5\n", "m"),
    "hapmap_headed": (
        "Chromosome\tPosition(bp)\tRate(cM/Mb)\tMap(cM)\nchr7\t100\t1\t0\nchr7\t300\t0\t0.5\n",
        "m",
    ),
    "impute2": (
        "position COMBINED_rate(cM/Mb) Genetic_Map(cM)\n100 1 0\n300 2 0.5\n",
        "genetic_map_chr7_b37.txt",
    ),
    "plink": ("7 rs1 0 100\n7 rs2 0.5 300\n", "m.map"),
    "bim": ("7\trs1\t0\t100\tA\tG\n7\trs2\t0.5\t300\tA\tG\n", "m.bim"),
    "any": ("sid\tchr\tbp\tcM\nrs1\t7\t100\t0\nrs2\t7\t300\t0.5\n", "m"),
}


@pytest.mark.parametrize("kind", MAPS)
def test_read_genetic_map__every_usual_format_is_one_table(tmp_path, kind):
    text, name = MAPS[kind]
    found = read_genetic_map(write(tmp_path, text, name))
    assert found["chrom"].tolist() == ["7", "7"]
    assert found["pos"].tolist() == [100, 300]
    assert found["cm"].tolist() == [0.0, 0.5]


def test_read_genetic_map__decode_intervals_keep_start_and_rate(tmp_path):
    text = (
        "# first remark\n# second remark, of more words\nChr\tBegin\tEnd\tcMperMb\tcM\n"
        "chr1\t1000\t2000\t3\t0.003\nchr1\t2000\t4000\t1\t0.005\nchr2\t10\t20\t100\t0.001\n"
    )
    path = tmp_path / "aau.gz"
    path.write_bytes(gzip.compress(text.encode()))
    found = read_genetic_map(path)
    assert found.columns.tolist() == ["chrom", "pos", "cm", "begin", "end", "rate"]
    assert found["begin"].tolist() == [1000, 2000, 10]
    at = interpolate_cm(found, "1", np.array([1000, 1500, 2000, 3000, 4000]))
    np.testing.assert_allclose(at, [0, 0.0015, 0.003, 0.004, 0.005], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pos chr cM\n100 7 0\n300 7 .5\n200 7 .6\n",
            r"map.txt`:4 runs backwards: 200 bp after 300 bp on chromosome 7",
        ),
        ("pos chr cM\n100 7 0\n300 7 .5\n400 7 .4\n", r":4 runs backwards: 0.4 cM after 0.5 cM"),
        ("pos chr cM\n100 7 0\n300 8 .5\n400 7 .9\n", r":4 returns to chromosome 7"),
        ("pos chr cM\n100 7 0\n300 7 x\n", r":3 has `x` in column `cM`"),
        ("pos rate cM\n100 7 0\n300 7 1\n", "does not say its chromosome"),
        ("snp gene\nrs1 A\nrs2 B\n", "no genetic map"),
        ("7 rs1 0 100\n7 rs2 0 300\n", "no map"),
        ("1 2\n3 4\n", "2 columns"),
    ],
)
def test_read_genetic_map__refuses_and_names_the_first_place(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_genetic_map(write(tmp_path, text))


def test_interpolate_cm__carries_the_mean_rate_beyond_the_ends(tmp_path):
    found = read_genetic_map(write(tmp_path, "pos chr cM\n100 7 1\n200 7 2\n400 7 4\n"))
    np.testing.assert_allclose(interpolate_cm(found, "7", np.array([0, 150, 300, 500])), [0, 1.5, 3, 5])
    with pytest.raises(AlignmentError, match=r"no chromosome 9 \(it has 7\)"):
        interpolate_cm(found, "9", np.array([1]))


def test_add_cm__each_chromosome_by_its_own_map(tmp_path):
    cohort = simulate_cohort(3, 8, chroms=["2", "5"], seed=1)
    text = "pos chr cM\n0 2 0\n1000000 2 1\n0 5 0\n1000000 5 10\n"
    cm = add_cm(cohort.variants, read_genetic_map(write(tmp_path, text)))["cm"]
    rate = np.where(cohort.variants["chrom"] == "2", 1e-6, 1e-5)
    np.testing.assert_allclose(cm, cohort.variants["pos"] * rate)


GENES = {
    "table": "Chr\tStart\tEnd\tName\nchr2\t50\t90\tB\n1\t11\t20\tA\n",
    "bed": "chr2 49 90 B 0 +\nchr1 10 20 A 0 -\n",
    "gtf": '#!remark\n2\tx\tgene\t50\t90\t.\t+\t.\tgene_id "E2"; gene_name "B";\n'
    '2\tx\texon\t50\t60\t.\t+\t.\tgene_id "E2";\n1\tx\tgene\t11\t20\t.\t+\t.\tgene_id "E1"; gene_name "A";\n',
    "gff3": "##gff-version 3\n2\tx\tgene\t50\t90\t.\t+\t.\tID=gene:E2;Name=B\n1\tx\tgene\t11\t20\t.\t+\t.\tID=A\n",
}


@pytest.mark.parametrize("kind", GENES)
def test_read_genes__every_format_is_one_based_closed_and_sorted(tmp_path, kind):
    found = read_genes(write(tmp_path, GENES[kind]))
    assert found.to_numpy().tolist() == [["1", 11, 20, "A"], ["2", 50, 90, "B"]]
    assert found.columns.tolist() == ["chrom", "start", "end", "name"]


def test_read_genes__wrong_columns_are_told(tmp_path):
    with pytest.raises(InputError, match="expected chromosome, position"):
        read_genes(write(tmp_path, "gene\tlength\nA\tlong\n"))


def test_read_known_hits__catalogue_and_plain_tables(tmp_path):
    rows = ["CHR_ID\tCHR_POS\tDISEASE/TRAIT", "6\t500\tBMI", "\t\tBMI", "X\t7\tGout", "6\t500\tBMI"]
    catalogue = "\n".join(rows) + "\n"
    found = read_known_hits(write(tmp_path, catalogue))
    assert found.to_numpy().tolist() == [["6", 500, 500, "BMI"], ["X", 7, 7, "Gout"]]
    plain = read_known_hits(write(tmp_path, "chrom pos\nchr3 9\n"))
    assert plain.to_numpy().tolist() == [["3", 9, 9, "3:9"]]
