import errno

import pytest

from haplolens.errors import InputError, OutputError
from haplolens.io.results import ResultsFolder, digests, told_options


def test_folder__that_exists_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"exists and is not empty.*--force.*--resume"):
        ResultsFolder(tmp_path, resume=False)
    with pytest.raises(
        OutputError, match=r"Give another --out, or --force to replace an earlier run there\.$"
    ):
        ResultsFolder(tmp_path)  # where nothing can be gone on with


def test_folder__force_never_deletes_what_we_did_not_make(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match="was not made by haplolens"):
        ResultsFolder(tmp_path, force=True)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_folder__force_replaces_an_earlier_run(tmp_path):
    first = ResultsFolder(tmp_path / "out")
    first.finish({"seed": 1})
    assert ResultsFolder(tmp_path / "out", resume=True).finished == {"seed": 1}
    assert ResultsFolder(tmp_path / "out", force=True).finished is None


def test_folder__force_spares_the_earlier_run_until_there_is_a_new_one(tmp_path):
    first = ResultsFolder(tmp_path / "out")
    draft = first.draft("all")
    (draft / "old.tsv").write_text("1")
    first.publish(draft, "")
    first.finish({})
    second = ResultsFolder(tmp_path / "out", force=True)
    with pytest.raises(InputError), second.guarded():
        raise InputError("a mistyped trait")
    assert (tmp_path / "out/old.tsv").exists()
    third = ResultsFolder(tmp_path / "out", force=True)
    draft = third.draft("all")
    (draft / "new.tsv").write_text("2")
    third.publish(draft, "")
    third.finish({})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["new.tsv", "run.json"]


def test_folder__publish_moves_whole_files_and_finish_sweeps(tmp_path):
    folder = ResultsFolder(tmp_path / "out")
    draft = folder.draft("HDL")
    (draft / "variants.tsv").write_text("x\n")
    assert folder.publish(draft, "HDL") == [tmp_path / "out/HDL/variants.tsv"]
    folder.finish({})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["HDL", "run.json"]


def test_guarded__bad_input_leaves_nothing(tmp_path):
    folder = ResultsFolder(tmp_path / "out")
    (folder.work / "store.pgen").write_text("half")
    with pytest.raises(InputError), folder.guarded():
        raise InputError("no overlap")
    assert not (tmp_path / "out").exists()


def test_guarded__bad_input_spares_an_unfinished_run(tmp_path):
    (ResultsFolder(tmp_path / "out").work / "step.npz").write_text("done")
    folder = ResultsFolder(tmp_path / "out", resume=True)
    with pytest.raises(InputError), folder.guarded():
        raise InputError("no overlap")
    assert (folder.work / "step.npz").exists()


def test_guarded__a_full_disk_is_one_line(tmp_path):
    folder = ResultsFolder(tmp_path / "out")
    with pytest.raises(OutputError, match=r"disk .* is full.*--resume"), folder.guarded():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_folder__a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        ResultsFolder(tmp_path / "out")


def test_digests__tell_contents_not_places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("same")
    one, two = (digests([tmp_path / name / "x.txt"]) for name in ("a", "b"))
    assert one == two
    assert one[0]["file"] == "x.txt"


def test_told_options__a_file_by_what_is_in_it(tmp_path):
    path = tmp_path / "blocks.bed"
    path.write_text("1\t0\t9\n")
    before = told_options({"blocks": str(path), "chrom": (), "min_maf": 0.01, "keep": None})
    path.write_text("1\t0\t8\n")
    after = told_options({"blocks": path, "min_maf": 0.01})
    assert list(before) == ["blocks", "min_maf"]
    assert before["blocks"]["file"] == after["blocks"]["file"] == "blocks.bed"
    assert before["blocks"] != after["blocks"]
