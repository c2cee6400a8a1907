import pytest

from haplolens.config import nearest, read_config
from haplolens.errors import ConfigError

ALLOWED = {"trait": str, "min_maf": float, "covariates": str, "threads": int | None, "resume": bool}


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_read_config__gives_keyword_arguments(tmp_path):
    path = write(tmp_path, '[run]\ntrait = "HDL"\nmin-maf = 0.02\ncovariates = ["sex", "age"]\n')
    assert read_config(path, "run", ALLOWED) == {
        "trait": "HDL",
        "min_maf": 0.02,
        "covariates": ["sex", "age"],
    }


def test_read_config__unknown_key_names_the_nearest_and_its_line(tmp_path):
    path = write(tmp_path, '[run]\ntrait = "HDL"\nmin_mfa = 0.02\n')
    with pytest.raises(ConfigError, match=r"`min_mfa`.*did you mean `min_maf`.*line 3"):
        read_config(path, "run", ALLOWED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rum]\n", "has a section `rum`, expected only the section \\[run\\]"),
        ("trait = 1\n", "a key outside a section, `trait`"),
        ("[run\n", "not valid TOML"),
        ("run = 3\n", "a key outside a section, `run`"),
        ('[run]\nmin_maf = "lots"\n', '`min_maf` is "lots", expected a number .*line 2'),
        ("[run]\nmin_maf = [0.1]\n", "`min_maf` is \\[0.1\\], expected a number"),
        ("[run]\nthreads = 1.5\n", "`threads` is 1.5, expected a whole number"),
        ("[run]\nthreads = true\n", "`threads` is true, expected a whole number"),
        ('[run]\nresume = "yes"\n', '`resume` is "yes", expected true or false'),
        ("[run]\ntrait = true\n", "`trait` is true, expected text"),
        ("[run]\n\nmin_maf = 0.7\n", "`min_maf` is 0.7, expected 0 to 0.5 .*line 3"),
    ],
)
def test_read_config__says_what_is_wrong(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_config(write(tmp_path, text), "run", ALLOWED)


def test_read_config__missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(tmp_path / "none.toml", "run", ALLOWED)


def test_nearest__is_silent_when_nothing_is_near():
    assert nearest("zzz", ALLOWED) == ""
