"""What PPO learns from: material, order, and how a step's episodes are cut."""

from pathlib import Path

import pytest

from tests.training.recipes.conftest import Chain, message
from tests.training.recipes.online import online_rows, prepare_online
from training import rundir
from training.configs import parse_config
from training.recipes.data import Encoder
from training.recipes.episodes import begin, cut, endless, read_material, shuffled
from training.recipes.loading import load_tokenizer


def test_endless_passes_hold_every_number_once_in_an_order_of_their_own() -> None:
    taken = list(endless(5, 0, 15, "seed"))
    passes = [taken[start : start + 5] for start in (0, 5, 10)]
    assert [sorted(one) for one in passes] == [list(range(5))] * 3
    assert passes[0] == shuffled(5, "seed", 0)
    assert len({tuple(one) for one in passes}) > 1
    assert list(endless(5, 7, 6, "seed")) == taken[7:13]
    assert list(endless(5, 0, 5, "another seed")) != passes[0]


def test_a_pass_gives_every_process_as_many_episodes_of_like_lengths() -> None:
    lengths = [n % 13 for n in range(24)]
    passes = cut(lengths, minibatches=3, processes=2, size=3, words=(1, "pass"))
    every = [at for one in passes for share in one for part in share for at in part]
    assert sorted(every) == list(range(24))
    for minibatch in passes:
        shares = [[at for part in share for at in part] for share in minibatch]
        assert [len(share) for share in shares] == [4, 4]
        assert [len(part) for part in minibatch[0]] == [3, 1]
        assert [lengths[at] for at in shares[0]] == sorted(lengths[at] for at in shares[0])


def test_the_number_of_processes_changes_no_minibatch() -> None:
    lengths = [n % 7 for n in range(16)]

    def members(processes: int) -> list[set[int]]:
        passes = cut(lengths, minibatches=2, processes=processes, size=2, words=(1,))
        return [{at for share in one for part in share for at in part} for one in passes]

    assert members(1) == members(2) == members(4)


@pytest.mark.recipe
def test_material_is_sorted_by_kind_and_what_is_left_out_is_counted(
    chain: Chain, tmp_path: Path
) -> None:
    odd = [
        {"prompt_id": "p0", "prompt": [message("user", "again")], "split": "train"},
        {"prompt_id": "x", "prompt": [message("user", "<|end|>")], "split": "train"},
        {"prompt_id": "y", "prompt": [message("user", "cat " * 80)], "split": "train"},
        {"prompt_id": "z", "prompt": [message("user", "cat")], "split": "validation"},
        {
            "prompt": [message("user", "cat")],
            "completion": [message("assistant", " ")],
            "split": "train",
        },
        {"text": "plain text", "split": "train"},
    ]
    folder = prepare_online(tmp_path, chain, {}, rows=online_rows(2) + odd)
    config = parse_config("ppo", rundir.read_json(folder / rundir.CONFIG)["config"])
    encoder = Encoder(load_tokenizer(chain.model("sft")), config.max_length)
    found = read_material(folder, encoder, config)
    assert found.report() == {
        "rows": 28,
        "train": 20,
        "ptx": 3,
        "validation": 1,
        "test": 0,
        "dropped": {
            "duplicate": 1,
            "special_token_in_text": 1,
            "too_long": 1,
            "empty_reply": 1,
        },
    }
    episodes = begin(found, step=2, size=8, seed=5)
    assert [episode.number for episode in episodes] == list(range(16, 24))
    assert all(len(episode.prompt) <= config.max_length - 12 for episode in episodes)
