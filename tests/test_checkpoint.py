import numpy as np
import pandas as pd
import pytest

from haplolens.io.checkpoint import Checkpoint


def state():
    table = pd.DataFrame(
        {"id": ["rs1", None, "é"], "pos": [3, 1, 2], "p": [0.1, np.nan, 1e-320], "flag": [True, False, True]}
    ).assign(rank=pd.array([2, None, 1], dtype="Int64"))
    return {
        "table": table,
        "array": np.arange(6, dtype=np.int8).reshape(2, 3),
        "note": {"a": [1, None, "x"]},
        "k": 3,
    }


def test_step__computes_once_and_reads_back_the_same(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return state()

    first = Checkpoint(tmp_path, "f").step("scan/x", compute)
    second = Checkpoint(tmp_path, "f").step("scan/x", compute)
    assert len(calls) == 1
    for found in (first, second):
        assert list(found) == ["table", "array", "note", "k"]
        pd.testing.assert_frame_equal(found["table"], state()["table"])
        np.testing.assert_array_equal(found["array"], state()["array"])
        assert found["array"].dtype == np.int8
        assert found["note"] == state()["note"]
        assert found["k"] == 3


def test_step__another_fingerprint_computes_again(tmp_path):
    Checkpoint(tmp_path, "one").step("scan", state)
    found = Checkpoint(tmp_path, "two").step("scan", lambda: {"k": 4})
    assert found == {"k": 4}


def test_step__half_written_file_is_not_taken_up(tmp_path):
    (tmp_path / "scan.partial").write_bytes(b"PK half")
    assert Checkpoint(tmp_path, "f").step("scan", lambda: {"k": 5}) == {"k": 5}


def test_step__failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Checkpoint(tmp_path, "f").step("scan", lambda: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_step__without_a_folder_keeps_nothing():
    value = {"any": object()}
    assert Checkpoint(None).step("scan", lambda: value) is value
