"""What snapshots rest on, shared samples, and comparisons that go on to people."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What snapshots of before rest on: until now models only replied, none judged or revised.
_REPLIES_SO_FAR = """
INSERT INTO training_snapshotsource (snapshot_id, run_id, model_id, labels)
SELECT item.snapshot_id, sampling.run_id, sampling.model_id, count(DISTINCT item.id)
  FROM labeling_snapshotitem item
  JOIN labeling_judgement judgement ON judgement.id = item.judgement_id
  JOIN labeling_comparisoncandidate slot ON slot.comparison_id = judgement.comparison_id
  JOIN labeling_candidatesource source ON source.candidate_id = slot.candidate_id
  JOIN training_sampledcandidate sampled ON sampled.source_id = source.id
  JOIN training_samplingrun sampling ON sampling.run_id = sampled.sampling_run_id
 GROUP BY item.snapshot_id, sampling.run_id, sampling.model_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0010_offered_prompts"),
        ("training", "0013_endpoints"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SharedSample",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "people",
                    models.PositiveSmallIntegerField(
                        help_text="people who are to judge each comparison"
                    ),
                ),
                ("seed", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "annotator",
                    models.ForeignKey(
                        help_text="the AI judge that is held against people",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_samples",
                        to="labeling.annotator",
                    ),
                ),
                (
                    "comparisons",
                    models.ManyToManyField(related_name="shared_samples", to="labeling.comparison"),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_samples",
                        to="labeling.project",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="RoutedComparison",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("unsure", "the judge is unsure"),
                            ("weak_topic", "the judge is weak on this topic"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "tag",
                    models.CharField(
                        blank=True, help_text="the topic, where that is why", max_length=60
                    ),
                ),
                (
                    "confidence",
                    models.FloatField(
                        blank=True,
                        help_text="how sure the judge was: its likelier sides' probability, over all "
                        "pairs",
                        null=True,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "annotator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="routings",
                        to="labeling.annotator",
                    ),
                ),
                (
                    "comparison",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="routings",
                        to="labeling.comparison",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "round",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="routings",
                        to="training.round",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(fields=("comparison", "annotator"), name="routed_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SnapshotSource",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "labels",
                    models.PositiveIntegerField(
                        help_text="judgements of the run's replies, judgements that it made, or "
                        "demonstrations"
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="snapshot_sources",
                        to="training.modelversion",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        help_text="of the recipe sample, judge or revise",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="snapshot_sources",
                        to="training.trainingrun",
                    ),
                ),
                (
                    "snapshot",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sources",
                        to="labeling.snapshot",
                    ),
                ),
            ],
            options={
                "ordering": ["snapshot", "run"],
                "constraints": [
                    models.UniqueConstraint(fields=("snapshot", "run"), name="snapshot_source_once")
                ],
            },
        ),
        migrations.RunSQL(_REPLIES_SO_FAR, migrations.RunSQL.noop),
    ]
