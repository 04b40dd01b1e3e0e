import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0008_comparisons_for_ai"),
        ("training", "0008_acquisition"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Judge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("version", models.PositiveIntegerField()),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("model", "a policy of this project"),
                            ("gold", "the demo world's hidden score"),
                        ],
                        default="model",
                        max_length=16,
                    ),
                ),
                (
                    "style",
                    models.CharField(
                        choices=[("pairwise", "pairs"), ("aspects", "four aspects")],
                        default="pairwise",
                        max_length=16,
                    ),
                ),
                (
                    "criteria",
                    models.TextField(blank=True, help_text="by what the replies are to be judged"),
                ),
                (
                    "config",
                    models.JSONField(default=dict, help_text="every setting of the recipe `judge`"),
                ),
                (
                    "provenance",
                    models.JSONField(
                        default=dict, help_text="versions of what is asked and by whom"
                    ),
                ),
                ("is_archived", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "annotator",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="judge",
                        to="labeling.annotator",
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
                    "model",
                    models.ForeignKey(
                        blank=True,
                        help_text="the policy that answers, where one does",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="judges",
                        to="training.modelversion",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judges",
                        to="labeling.project",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name", "version"), name="judge_version_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("model__isnull", False), ("source", "model")),
                            models.Q(
                                models.Q(("source", "model"), _negated=True),
                                ("model__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="judge_model_where_one_answers",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Judging",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="judging",
                        serialize=False,
                        to="training.trainingrun",
                    ),
                ),
                ("comparison_ids", models.JSONField(default=list)),
                (
                    "principles",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="by comparison, the principle to judge it by",
                    ),
                ),
                ("judgements_made", models.PositiveIntegerField(default=0)),
                (
                    "surplus_made",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="of these, those on comparisons that do not wait for an AI judge",
                    ),
                ),
                (
                    "left_out",
                    models.JSONField(
                        default=dict,
                        help_text="comparisons that the judge gave no judgement on, by reason",
                    ),
                ),
                (
                    "leans",
                    models.JSONField(
                        default=list,
                        help_text="pairs by how much likelier a reply wins by standing first, in "
                        "20 equal bins from -1 to 1",
                    ),
                ),
                ("lean_sum", models.FloatField(default=0.0)),
                (
                    "judge",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="judgings",
                        to="training.judge",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="JudgementMade",
            fields=[
                (
                    "judgement",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="made_by_judge",
                        serialize=False,
                        to="labeling.judgement",
                    ),
                ),
                (
                    "judging",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="made",
                        to="training.judging",
                    ),
                ),
            ],
        ),
    ]
