"""Sampling runs: which prompts, and what is refused."""

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import Prompt, Tag
from tests.factories import make_project, make_prompt
from tests.training.factories import make_model, make_sampling_run
from training.services.sampling import read_samples

pytestmark = pytest.mark.django_db


def test_create_sampling_run_chooses_the_prompts_now_and_for_good():
    project = make_project()
    run = make_sampling_run(project, prompts=3, limit=2, seed=5, overlap=3)
    chosen = run.sampling.prompt_ids
    assert len(chosen) == 2
    make_prompt(project)
    run.sampling.refresh_from_db()
    assert run.sampling.prompt_ids == chosen
    assert run.sampling.selection == {"tags": [], "exclude_tags": [], "limit": 2, "seed": 5}
    assert (run.recipe, run.sampling.overlap, run.base_model) == ("sample", 3, run.sampling.model)


def test_create_sampling_run_takes_prompts_by_tag():
    project = make_project()
    make_prompt(project)
    wanted = make_prompt(project)
    wanted.tags.add(Tag.objects.create(project=project, name="hard"))
    run = make_sampling_run(project, prompts=0, tags=["hard"])
    assert run.sampling.prompt_ids == [wanted.pk]
    assert Prompt.objects.count() == 2


def test_create_sampling_run_names_every_field_that_is_wrong():
    project, other = make_project(), make_project()
    with pytest.raises(InvalidInput) as error:
        make_sampling_run(
            project,
            model=make_model(other),
            seed=-1,
            limit=0,
            overlap=51,
            config={"candidates_per_prompt": 3},
        )
    wrong = {"model", "seed", "limit", "overlap", "candidates_per_prompt"}
    assert set(error.value.errors) == wrong
    assert "needs 4 replies" in error.value.errors["candidates_per_prompt"][0]


def test_create_sampling_run_refuses_a_reward_model_and_an_empty_selection():
    project = make_project()
    with pytest.raises(InvalidInput) as kind:
        make_sampling_run(project, model=make_model(project, "reward"))
    assert kind.value.errors == {"model": ["base v1 is a reward model; only a policy can reply."]}
    with pytest.raises(InvalidInput) as empty:
        make_sampling_run(project, tags=["none has this"])
    assert set(empty.value.errors) == {"tags"}


def test_fewer_replies_than_k_are_fine_where_nothing_is_queued():
    run = make_sampling_run(make_project(), queue=False, config={"candidates_per_prompt": 1})
    assert run.config["candidates_per_prompt"] == 1


def test_read_samples_keeps_settings_and_makes_texts_storable(tmp_path):
    model = make_model(make_project())
    (tmp_path / "samples.jsonl").write_text(
        '{"prompt_id": "7", "text": "a\\u0000b", "seed": 3, "temperature": 0.5, "top_p": 0.9,'
        ' "max_new_tokens": 8, "logprob": -2.5, "finish_reason": "length", "top_k": 4,'
        ' "completion": []}\n'
    )
    (sample,) = read_samples(tmp_path, model)
    assert (sample.prompt_id, sample.text, sample.seed) == (7, "a\ufffdb", 3)
    assert (sample.model_name, sample.model_sha256) == ("base v1", model.sha256)
    assert (sample.temperature, sample.top_p, sample.max_new_tokens) == (0.5, 0.9, 8)
    assert (sample.logprob, sample.finish_reason) == (-2.5, "length")
    assert sample.sampling == {"top_k": 4}
