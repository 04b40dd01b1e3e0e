"""From a model to the judgements in it and back, by rows."""

import pytest

from labeling.models import Demonstration, Judgement, SnapshotItem
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_project
from tests.training.calibration.world import FIRST, ai_says, make_judge
from tests.training.factories import (
    make_demonstrations,
    make_model,
    make_run,
    make_sampling_run,
    make_snapshot,
)
from tests.training.lineage.world import all_train, made_by, make_world, say_sampled
from training.constitutions.models import (
    Constitution,
    ConstitutionVersion,
    RevisedDemonstration,
    RevisingRun,
)
from training.judges.models import JudgementMade
from training.judges.services import start_judging
from training.lineage.graph import Edge, Kind, Relation
from training.lineage.models import SnapshotSource
from training.lineage.selectors import (
    ancestors_of,
    family_of,
    judgements_in,
    listed,
    model_key,
    models_from,
    run_key,
    snapshot_key,
    snapshots_by_relation,
    spread_of,
)
from training.lineage.services import note_sources
from training.models import ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db


def test_a_freeze_writes_down_whose_replies_were_judged():
    world = make_world()
    assert list(SnapshotSource.objects.values_list("snapshot", "run", "model", "labels")) == [
        (world.second.pk, world.sampling.pk, world.ppo.pk, 2)
    ]
    note_sources(type(world.second), snapshot=world.second)
    assert SnapshotSource.objects.count() == 1


def test_two_replies_of_a_run_in_one_comparison_count_once():
    project = all_train(make_project())
    make_snapshot(project, labels=1)
    run = make_sampling_run(project)
    comparison = Judgement.objects.get(project=project).comparison
    say_sampled(run, [comparison, comparison])
    snapshot = freeze_snapshot(actor=None, project=project)
    assert SnapshotSource.objects.get(snapshot=snapshot).labels == 1


def test_the_family_of_a_model_holds_all_that_it_was_made_of():
    w = make_world()
    family = ancestors_of(w.dpo)
    assert set(family.models) == {w.dpo.pk, w.base.pk, w.ppo.pk, w.reward.pk}
    assert set(family.edges) == {
        Edge(model_key(w.dpo.pk), model_key(w.base.pk), Kind.STARTED),
        Edge(model_key(w.dpo.pk), snapshot_key(w.second.pk), Kind.LEARNED),
        Edge(snapshot_key(w.second.pk), run_key(w.sampling.pk), Kind.HOLDS),
        Edge(run_key(w.sampling.pk), model_key(w.ppo.pk), Kind.MADE_BY),
        Edge(model_key(w.ppo.pk), model_key(w.base.pk), Kind.STARTED),
        Edge(model_key(w.ppo.pk), model_key(w.reward.pk), Kind.SCORED),
        Edge(model_key(w.reward.pk), model_key(w.base.pk), Kind.STARTED),
        Edge(model_key(w.reward.pk), snapshot_key(w.first.pk), Kind.LEARNED),
    }


def test_the_family_holds_what_was_made_of_a_model_too():
    w = make_world()
    make_model(w.project, name="a stranger")
    assert set(family_of(w.reward).models) == {w.reward.pk, w.base.pk, w.ppo.pk, w.dpo.pk}
    assert set(family_of(w.dpo).models) == set(ancestors_of(w.dpo).models)


def test_a_reward_model_that_only_measures_hands_nothing_on():
    project = make_project()
    judge = make_model(project, "reward", name="judge")
    made_by(make_run(project, recipe="dpo", reward_model=judge))
    assert set(family_of(judge).models) == {judge.pk}


def test_judgements_in_a_model_are_counted_where_they_are_nearest():
    w = make_world()
    family = ancestors_of(w.dpo)
    behind = snapshots_by_relation(w.dpo, family)
    assert behind == {
        Relation.DIRECT: [w.second],
        Relation.INHERITED: [],
        Relation.DISTANT: [w.first],
    }
    counts = {relation: judgements_in(w.project, behind, relation).count() for relation in behind}
    assert counts == {Relation.DIRECT: 5, Relation.INHERITED: 0, Relation.DISTANT: 0}
    behind = snapshots_by_relation(w.ppo, ancestors_of(w.ppo))
    assert behind[Relation.INHERITED] == [w.first]
    inherited = judgements_in(w.project, behind, Relation.INHERITED)
    assert inherited.count() == 3
    assert w.early in inherited
    (row,) = listed([w.early], behind[Relation.INHERITED])
    assert [(held.snapshot, held.split) for held in row.places] == [(w.first, "train")]


def test_a_judgements_models_are_direct_inherited_or_distant():
    w = make_world()
    spread = spread_of(w.early)
    assert [held.snapshot.number for held in spread.held] == [3, 2, 1]
    assert [(seen.model, seen.relation) for seen in spread.models] == [
        (w.dpo, Relation.DIRECT),
        (w.reward, Relation.DIRECT),
        (w.ppo, Relation.INHERITED),
    ]
    (ppo,) = spread.of(Relation.INHERITED)
    assert ppo.by == [(Kind.SCORED, w.reward)]
    assert [(seen.model, seen.relation) for seen in spread_of(w.late).models] == [
        (w.dpo, Relation.DIRECT)
    ]


def test_a_model_that_learned_from_replies_of_one_that_saw_it_is_distant():
    w = make_world()
    SnapshotItem.objects.filter(snapshot=w.second, judgement=w.early).delete()
    found = {seen.model: seen for seen in spread_of(w.early).models}
    assert found[w.dpo].relation == Relation.DISTANT
    assert found[w.dpo].by == [(Kind.LEARNED, w.second)]


def test_what_was_held_out_is_said_to_be():
    w = make_world()
    SnapshotItem.objects.filter(judgement=w.early).update(split="test")
    assert {seen.relation for seen in spread_of(w.early).models} == {Relation.HELD_OUT}


def test_a_judgement_in_no_snapshot_has_been_seen_by_nobody():
    w = make_world()
    SnapshotItem.objects.filter(judgement=w.late).delete()
    spread = spread_of(w.late)
    assert (spread.held, spread.models) == ([], [])


def test_demonstrations_hand_on_a_model_as_judgements_do():
    project = make_project()
    texts = make_demonstrations(project)
    sft = made_by(make_run(project, recipe="sft", snapshot=texts, base_model=make_model(project)))
    after = made_by(make_run(project, recipe="dpo", base_model=sft))
    assert models_from([texts.pk]) == [(after, False), (sft, True)]


def test_a_circle_of_models_ends():
    project = make_project()
    one, other = (make_model(project, name=name) for name in ("a", "b"))
    ModelVersion.objects.filter(pk=one.pk).update(parent=other)
    ModelVersion.objects.filter(pk=other.pk).update(parent=one)
    assert set(family_of(one).models) == {one.pk, other.pk}


def test_lineage_is_read_in_a_handful_of_queries(django_assert_num_queries):
    w = make_world()
    for _ in range(3):
        w.project.refresh_from_db()
        made_by(make_run(w.project, recipe="dpo", snapshot=w.second, base_model=w.dpo))
    with django_assert_num_queries(4):
        family_of(w.reward)
    with django_assert_num_queries(5):
        spread_of(w.early)


def test_judgements_that_a_model_made_lead_back_to_it():
    project = all_train(make_project())
    judge = make_judge(project)
    comparison = make_comparison(project, k=2)
    run = start_judging(
        actor=None, project=project, judge=judge, comparison_ids=[comparison.pk], seed=1
    )
    ai_says(judge, comparison, FIRST, soft=0.9)
    made = Judgement.objects.get(annotator=judge.annotator)
    JudgementMade.objects.create(judging=run.judging, judgement=made)
    snapshot = freeze_snapshot(actor=None, project=project, annotator_kinds=["ai"])
    source = SnapshotSource.objects.get(snapshot=snapshot)
    assert (source.run, source.model, source.labels) == (run, judge.model, 1)
    dpo = made_by(make_run(project, recipe="dpo", snapshot=snapshot))
    assert judge.model_id in ancestors_of(dpo).models
    assert dpo.pk in family_of(judge.model).models


def test_revisions_lead_back_to_the_model_that_revised():
    project = all_train(make_project())
    texts = make_demonstrations(project, 2)
    model = make_model(project)
    words = Constitution.objects.create(project=project, name="kind")
    version = ConstitutionVersion.objects.create(constitution=words, number=1, principles=[])
    run = TrainingRun.objects.create(project=project, recipe="revise", base_model=model)
    revising = RevisingRun.objects.create(run=run, model=model, constitution=version)
    for text in Demonstration.objects.filter(snapshot_items__snapshot=texts):
        RevisedDemonstration.objects.create(revising_run=revising, demonstration=text, chain={})
    snapshot = freeze_snapshot(actor=None, project=project, kind="demonstrations")
    assert list(
        SnapshotSource.objects.filter(snapshot=snapshot).values_list("run", "model", "labels")
    ) == [(run.pk, model.pk, 2)]
