import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("labeling", "0009_comparisons_for_evaluation"),
        ("training", "0009_judges"),
    ]

    operations = [
        migrations.CreateModel(
            name="Contest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "most",
                    models.PositiveIntegerField(
                        help_text="pairs of replies at most, ties known before too"
                    ),
                ),
                (
                    "indifference",
                    models.FloatField(
                        default=0.0,
                        help_text="win rates this near to one half count as no difference",
                    ),
                ),
                ("overlap", models.PositiveSmallIntegerField(default=1)),
                ("priority", models.SmallIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("decided", "decided"),
                            ("used_up", "used up"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                (
                    "left_out",
                    models.JSONField(
                        default=dict, help_text="prompts that are not asked, by reason"
                    ),
                ),
                (
                    "result",
                    models.JSONField(
                        blank=True, default=dict, help_text="the figures when it ended"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "baseline",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contests_against",
                        to="training.modelversion",
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
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contests",
                        to="training.modelversion",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="contests",
                        to="labeling.project",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        help_text="the evaluation whose replies are compared",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contests",
                        to="training.trainingrun",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="ContestComparison",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("place", models.PositiveIntegerField()),
                ("policy_slot", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("policy_length", models.PositiveIntegerField()),
                ("baseline_length", models.PositiveIntegerField()),
                (
                    "comparison",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="contested",
                        to="labeling.comparison",
                    ),
                ),
                (
                    "contest",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pairs",
                        to="training.contest",
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="labeling.prompt",
                    ),
                ),
            ],
            options={"ordering": ["contest", "place"]},
        ),
        migrations.AddConstraint(
            model_name="contest",
            constraint=models.UniqueConstraint(
                fields=("project", "number"), name="contest_number_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="contest",
            constraint=models.UniqueConstraint(
                condition=Q(("state", "withdrawn"), _negated=True),
                fields=("run",),
                name="one_contest_per_evaluation",
            ),
        ),
        migrations.AddConstraint(
            model_name="contestcomparison",
            constraint=models.UniqueConstraint(
                fields=("contest", "place"), name="contest_place_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="contestcomparison",
            constraint=models.UniqueConstraint(
                fields=("contest", "prompt"), name="contest_prompt_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="contestcomparison",
            constraint=models.CheckConstraint(
                condition=Q(
                    Q(("comparison__isnull", True), ("policy_slot__isnull", True)),
                    Q(("comparison__isnull", False), ("policy_slot__in", [0, 1])),
                    _connector="OR",
                ),
                name="asked_pair_has_a_slot",
            ),
        ),
    ]
