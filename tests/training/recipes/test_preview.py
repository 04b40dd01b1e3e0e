"""The light tokenizer reads what the recipes' own reads, so the count before a run is the count."""

from pathlib import Path

import pytest

from tests.training.recipes.conftest import Chain, message, pairs, prepare
from training.encoding import Encoder
from training.preview import preview
from training.recipes.data import encode_pairs
from training.recipes.loading import load_tokenizer
from training.tokenizing import LightTokenizer

pytestmark = pytest.mark.recipe


def test_light_tokenizer_reads_the_same_ids(chain: Chain) -> None:
    folder = chain.model("sft")
    light, whole = LightTokenizer.in_folder(folder), load_tokenizer(folder)
    assert set(light.all_special_tokens) == set(whole.all_special_tokens)
    assert (light.bos_token_id, light.eos_token_id) == (whole.bos_token_id, whole.eos_token_id)
    for row in pairs(12):
        asked, reply = row["prompt"], row["chosen"]
        sides = [Encoder(tokens, 500).exchange(asked, reply) for tokens in (light, whole)]
        assert sides[0] == sides[1]
    assert Encoder(light, 99).text("kind – 好")[1] == Encoder(whole, 99).text("kind – 好")[1]


def test_preview_counts_what_the_recipe_leaves_out(chain: Chain, tmp_path: Path) -> None:
    rows = pairs()
    rows[0]["prompt"] = [message("user", "quick bird " * 99)]
    rows[1]["chosen"] = [message("assistant", "<|end|>")]
    folder = prepare(tmp_path, "dpo", rows, {"max_length": 60})
    model = chain.model("sft")
    whole = encode_pairs(folder, Encoder(load_tokenizer(model), 60))
    found = preview(rows, pairs=True, model=model, max_length=60)
    assert found.lengths_known
    assert dict(found.dropped) == dict(whole.dropped)
    assert {"too_long", "special_token_in_text", "tie"} <= set(whole.dropped)
    assert found.used == {name: len(kept) for name, kept in whole.splits.items()}
