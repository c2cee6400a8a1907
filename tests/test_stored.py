import json

import numpy as np
import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_cohort, tiny_findings
from haplolens.errors import InputError
from haplolens.io.export import write_findings
from haplolens.io.stored import read_findings
from haplolens.report.html import write_report


def test_read_findings__brings_the_tables_back(tmp_path):
    found = tiny_findings()
    write_findings(found, tiny_cohort(), tmp_path)
    back = read_findings(tmp_path)
    assert back.trait == "height"
    for name in ("variants", "blocks", "credible_sets", "conditional"):
        ours, theirs = getattr(found, name), getattr(back, name)
        assert list(ours.columns) == list(theirs.columns), name
        for column in ours:
            if theirs[column].dtype.kind in "if":
                expected = ours[column].astype(float)
                np.testing.assert_allclose(theirs[column], expected, rtol=1e-4, atol=1e-5, err_msg=column)
            else:
                assert list(theirs[column]) == list(ours[column]), column
    expected = found.variants.set_index("rsid")["p_any_encoding"][found.association["id"]]
    np.testing.assert_allclose(back.association["p_any_encoding"], expected, rtol=6e-5)
    assert back.summary["lambda_gc"] == {"additive": 1.02}


def test_read_findings__writing_it_again_gives_the_same_bytes(tmp_path):
    found, cohort = realistic_findings(n_samples=80, n_variants=600)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write_findings(found, cohort, tmp_path / "a")
    for path in write_findings(read_findings(tmp_path / "a"), cohort, tmp_path / "b"):
        if path.name != "findings.json" and not path.name.startswith("association"):
            assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes(), path.name
    again = json.loads((tmp_path / "b" / "findings.json").read_text())
    assert again == json.loads((tmp_path / "a" / "findings.json").read_text())


def test_read_findings__regions_come_back_without_their_ld(tmp_path):
    found = tiny_findings()
    object.__setattr__(found.regions[0], "columns", np.array([0, 1, 3]))
    write_findings(found, tiny_cohort(), tmp_path)
    (region,) = read_findings(tmp_path).regions
    np.testing.assert_array_equal(region.columns, [0, 1, 3])
    assert (region.region_id, region.lead, region.n_candidates) == ("chr2_100-900", 1, 2)
    assert np.isnan(region.r_lead).all()
    assert region.ld.shape == (0, 0)


def test_read_findings__can_be_reported(tmp_path):
    write_findings(tiny_findings(), tiny_cohort(), tmp_path)
    page = write_report(read_findings(tmp_path), tmp_path / "report.html").read_text()
    assert "The LD of this region is not at hand" in page


def test_read_findings__of_nothing_found(tmp_path):
    write_findings(empty_findings(), tiny_cohort(), tmp_path)
    back = read_findings(tmp_path)
    assert (len(back.credible_sets), len(back.conditional), back.regions) == (0, 0, [])


@pytest.mark.parametrize("content", ["not json", "[]", '{"format": "other/1"}'])
def test_read_findings__refuses_what_is_not_ours(tmp_path, content):
    write_findings(tiny_findings(), tiny_cohort(), tmp_path)
    (tmp_path / "findings.json").write_text(content)
    with pytest.raises(InputError, match=r"findings\.json` (is not JSON|does not say format)"):
        read_findings(tmp_path)


def test_read_findings__names_the_file_that_is_gone(tmp_path):
    write_findings(tiny_findings(), tiny_cohort(), tmp_path)
    (tmp_path / "blocks.tsv").unlink()
    with pytest.raises(InputError, match=r"holds no `blocks\.tsv`"):
        read_findings(tmp_path)
