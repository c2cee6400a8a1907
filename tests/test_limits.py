import pytest

from haplolens.errors import ConfigError
from haplolens.limits import LIMITS, check_limits

WRONG = [
    ("coverage", 1.5),
    ("coverage", 0),
    ("effects", 0),
    ("threads", 0),
    ("seed", -1),
    ("traits", 0),
    ("causes", -1),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_check_limits__names_the_option_and_its_bounds(name, value):
    with pytest.raises(ConfigError, match=rf"`{name}` is {value:g}, expected {LIMITS[name][0]:g} to"):
        check_limits({name: value})


def test_check_limits__bounds_themselves_and_what_is_not_given():
    check_limits({name: low for name, (low, _) in LIMITS.items()})
    check_limits({name: high for name, (_, high) in LIMITS.items()})
    check_limits(dict.fromkeys(LIMITS))


def test_check_limits__not_a_number_lies_nowhere():
    with pytest.raises(ConfigError, match="`min_maf` is nan"):
        check_limits({"min_maf": float("nan")})
