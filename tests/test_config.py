import pytest

from haplolens.config import nearest, read_config
from haplolens.errors import ConfigError

ALLOWED = {"trait", "min_maf", "covariates"}


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_read_config__gives_keyword_arguments(tmp_path):
    path = write(tmp_path, '[run]\ntrait = "HDL"\nmin-maf = 0.02\ncovariates = ["sex", "age"]\n')
    assert read_config(path, "run", ALLOWED) == {"trait": "HDL", "min_maf": 0.02, "covariates": ["sex", "age"]}


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
