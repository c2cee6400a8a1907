from dataclasses import replace

from findings_fixture import realistic_findings, tiny_findings
from haplolens.report.methods import methods


def test_methods__say_what_the_pipeline_recorded():
    found, _ = realistic_findings(n_samples=100, n_variants=500)
    told = methods(found)
    assert told["structure"] == "mixed"
    assert told["prior"][0] == ("additive", 0.78)
    assert told["covariates"] == ["sex", "age", "litter"]
    assert dict(told["join"]) == {
        "matched": "100 samples by IID",
        "only in the genotypes": "12 (A048005080, A048006063, A048006555 …)",
        "HDL": "quantitative, 97 samples, 3 missing",
        "sex": "categorical",
    }
    assert told["qc"][1] == {
        "filter": "missing genotypes of a variant",
        "axis": "variants",
        "kept": "at most 0.05",
        "dropped": "212",
        "examples": "rs6, rs41, rs77 …",
    }
    assert told["qc"][2]["kept"] == ""
    assert "keep" not in dict(told["parameters"])
    assert ("region p", "1e−05") in told["finemapping"]
    assert "encoding prior" not in dict(told["finemapping"])


def test_methods__name_cases_and_controls_as_the_file_codes_them():
    found, _ = realistic_findings(n_samples=100, n_variants=500, binary=True)
    assert dict(methods(found)["join"])["type 2 diabetes"] == "binary, 40 cases (2) and 60 controls (1)"


def test_methods__of_an_unknown_filter_say_its_name():
    found = replace(tiny_findings(), summary={"qc": [{"filter": "my_own", "dropped": 3, "threshold": 0.2}]})
    (row,) = methods(found)["qc"]
    assert (row["filter"], row["kept"], row["dropped"], row["examples"]) == ("my own", "0.2", "3", "")


def test_methods__of_nothing_recorded_are_empty():
    told = methods(replace(tiny_findings(), summary={}, provenance={}))
    assert not any(
        told[name] for name in ("qc", "join", "structure", "prior", "parameters", "inputs", "build")
    )


def test_methods__a_plain_join_is_listed_as_it_is():
    found = replace(
        tiny_findings(), summary={"join": {"matched": 1940, "dropped": {"n": 2, "examples": ["a", "b"]}}}
    )
    assert methods(found)["join"] == [("matched", "1,940"), ("dropped", "2 (a, b)")]
