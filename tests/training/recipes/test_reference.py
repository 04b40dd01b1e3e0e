"""What the reference said is kept once, by whichever process was first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from datasets import Dataset

from training import rundir
from training.recipes.reference import keep

KEY = "0" * 64


def test_processes_that_keep_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    together = Barrier(4)

    def kept(_: int) -> list[int]:
        together.wait()
        found = keep(Dataset.from_dict({"id": [1, 2, 3]}), tmp_path, KEY, "train")
        return [] if found is None else found["id"][:]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kept, range(4))) == [[1, 2, 3]] * 4
    (folder,) = (tmp_path / rundir.CACHE).iterdir()
    assert [place.name for place in folder.iterdir()] == ["train"]


def test_nothing_is_kept_of_a_split_without_rows(tmp_path: Path) -> None:
    assert keep(None, tmp_path, KEY, "validation") is None
    assert not (tmp_path / rundir.CACHE).exists()
