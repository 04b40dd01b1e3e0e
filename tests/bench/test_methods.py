"""What the comparison of methods makes of rows: settings, tables and drawings, without training."""

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import methods_settings as settings
from bench.methods_drawing import Series, drawing, panel, sheet
from bench.methods_page import (
    BEGIN,
    END,
    between_marks,
    frontier,
    grid_lines,
    overoptimization,
    table_lines,
)
from bench.methods_policies import preferred_rows
from training.configs import parse_config

TABLE = {
    "base": [{"seed": 1, "gold": -0.5, "kl": 60.0, "reward": -4.0, "words": 9.0}],
    "sft": [{"seed": 1, "gold": 0.4, "kl": 0.0, "reward": 0.0, "words": 17.0}],
    "bon": [{"seed": 1, "gold": 0.8, "kl": 1.8, "reward": 3.0}],
    "ppo": [{"seed": 1, "gold": 0.8, "kl": 1.4, "reward": 3.1, "words": 20.0}],
}
CURVES: list[dict[str, Any]] = [
    {"method": "bon", "seed": seed, "n": n, "kl": 0.2 * n, "gold": 0.1 * n + seed, "reward": n}
    for seed in (1, 2)
    for n in (1, 2)
] + [
    {"method": "far", "seed": 1, "step": step, "kl": step, "gold": -step, "reward": step}
    for step in (1, 2, 3)
]


def test_preferred_rows_are_first_tiers_that_beat_something():
    def reply(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    prompt = [{"role": "user", "content": "?"}]
    a, b, c = reply("a"), reply("b"), reply("c")
    rankings = [
        {"prompt": prompt, "replies": [a, b, c], "tiers": [[1, 2], [0]], "split": "train"},
        {"prompt": prompt, "replies": [a, b], "tiers": [[0, 1]], "split": "train"},
        {"prompt": prompt, "completion": a, "split": "reference"},
    ]
    assert preferred_rows(rankings) == [
        {"prompt": prompt, "completion": b, "split": "train"},
        {"prompt": prompt, "completion": c, "split": "train"},
    ]


def _row(method: str, gold: float, loss: float = 5.0, **given: float) -> dict[str, Any]:
    return {"method": method, "settings": given, "gold": gold, "kl": 1.0, "pretrain_loss": loss}


def test_the_setting_of_a_method_is_that_of_the_highest_gold():
    rows = [_row("dpo", 0.7, beta=0.1), _row("dpo", 0.8, beta=0.3), _row("rloo", 0.9, beta=0.2)]
    assert settings.chosen("dpo", rows) == {"beta": 0.3}
    with pytest.raises(ValueError, match="kto"):
        settings.chosen("kto", rows)


def test_the_weight_of_texts_is_the_best_of_those_that_keep_half():
    """PPO loses 2: at 7.5 a quarter is spared, at 6.9 more than half, at 5.0 all of it."""
    rows = [_row("sft", 0.4, 6.0), _row("ppo", 0.8, 8.0, beta=0.1), _row("ppo", 0.7, 6.0, beta=1)]
    few, some, most = (_row("ppo_ptx", *at) for at in ((0.8, 7.5), (0.75, 6.9), (0.7, 5.0)))
    for row, gamma in ((few, 0.1), (some, 0.3), (most, 1.0)):
        row["settings"] = {"ptx_coefficient": gamma}
    wanted = {"beta": 0.1, "ptx_coefficient": 0.3}
    assert settings.chosen("ppo_ptx", [*rows, few, some, most]) == wanted
    assert settings.chosen("ppo_ptx", [*rows, few]) == {"beta": 0.1, "ptx_coefficient": 0.1}


@pytest.mark.parametrize("method", settings.SHARED)
def test_every_setting_of_the_grids_is_a_config_within_the_budget(method: str):
    recipe, shared = settings.SHARED[method]
    for given in settings.GRIDS[method]:
        config: Any = parse_config(recipe, {**shared, **given})
        if recipe == "ppo":
            assert config.total_episodes == settings.EPISODES
        if recipe == "rloo":
            a_step = config.per_device_batch_size * config.gradient_accumulation
            assert a_step * config.max_steps == settings.EPISODES


def test_what_was_tuned_belongs_to_the_grids():
    rows = settings.tuned()
    for method, grid in settings.GRIDS.items():
        assert [row["settings"] for row in rows if row["method"] == method] == grid


def test_table_lines_tell_means_and_a_dash_for_what_a_method_has_not():
    lines = table_lines(TABLE)
    assert (
        lines[3] == "| SFT | 0.400 ± 0.000 | 0.400 | 0.00 ± 0.00 | 0.00 ± 0.00 | 17.0 ± 0.0 | – |"
    )
    assert lines[4].endswith("| 1.80 ± 0.00 | 3.00 ± 0.00 | – | – |")


def test_grid_lines_tell_each_setting():
    assert grid_lines([_row("dpo", 0.71, beta=0.1, learning_rate=2e-4)])[2] == (
        "| DPO | beta 0.1, learning_rate 0.0002 | 0.710 | 1.00 | 5.00 |"
    )


def test_only_what_stands_between_the_marks_is_replaced():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between_marks(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lost its marks"):
        between_marks("no marks", "new")


def test_drawings_are_whole_and_name_what_they_show():
    for svg, names in (
        (frontier(TABLE, CURVES), ("SFT", "PPO", "best-of-n")),
        (overoptimization(CURVES), ("PPO without a penalty", "best-of-n, n = 1 to 64")),
    ):
        root = ElementTree.fromstring(svg)  # noqa: S314 - our own
        texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert set(names) <= set(texts)
        assert "prefers-color-scheme:dark" in svg


def test_a_panel_places_its_points():
    """With 7 % room y goes from -0.07 to 1.07 over 266 pixels: 0 lies 16.3 above 316."""
    series = Series(name="a <b>", colour=0, points=[(0.0, 0.0), (2.0, 1.0), (1.0, 0.5)])
    inside = panel("t", "x", "y", [series])
    assert 'cx="56" cy="299.7"' in inside
    assert 'cy="183"' in inside
    assert "a &lt;b&gt;" in inside
    assert sheet([inside, inside]).count("a &lt;b&gt;") == 2
    with pytest.raises(ValueError, match="no point"):
        drawing("t", "x", "y", [])
