"""The parts of the comparison's world that need neither database nor training."""

from pathlib import Path

import pytest

from bench import methods_world
from bench.methods_world import MODELS, ROWS, folder_of, parts_of, read_world, world_of, write_lines
from training import rundir


def test_held_out_prompts_are_the_test_and_no_other_leaves_training_twice():
    rows = [
        {"prompt_id": "1", "split": "train"},
        {"prompt_id": "2", "split": "train"},
        {"prompt_id": "3", "split": "validation"},
        {"prompt_id": "4", "split": "test"},
        {"prompt_id": "5", "split": "test"},
    ]
    parts = parts_of(rows, frozenset({"2", "5"}))
    assert [row["split"] for row in parts] == ["train", "test", "validation", "validation", "test"]


def test_another_seed_or_another_noise_is_another_world(monkeypatch: pytest.MonkeyPatch):
    first = folder_of(1)
    assert first == folder_of(1)
    assert first != folder_of(2)
    monkeypatch.setattr(methods_world, "NOISE", 0.2)
    assert first != folder_of(1)


def test_a_kept_world_is_read_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFLOOP_VAR", str(tmp_path))
    folder = folder_of(7)
    folder.mkdir(parents=True)
    for number, name in enumerate(ROWS):
        split = "train" if number % 2 else "test"
        assert write_lines(folder / f"{name}.jsonl", [{"n": number, "split": split}]) == 1
    rundir.write_json_atomic(folder / "world.json", {"judgements": 300})
    world = world_of(7)
    assert world == read_world(7, folder)
    assert {name: getattr(world, name) for name in MODELS} == {n: folder / n for n in MODELS}
    assert world.preferences == ({"n": 1, "split": "train"},)
    assert world.of_split(world.preferences, "train") == [{"n": 1, "split": "train"}]
    assert world.of_split(world.preferences, "test") == []
    assert world.facts == {"judgements": 300}
