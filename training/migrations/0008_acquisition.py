import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0007_round_steps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Scoring",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="scoring",
                        serialize=False,
                        to="training.trainingrun",
                    ),
                ),
                ("candidate_ids", models.JSONField(default=list)),
                (
                    "scores",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="by a candidate's id: one score of each member",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="roundcomparison",
            name="arm",
            field=models.CharField(
                choices=[
                    ("random", "random"),
                    ("margin", "margin"),
                    ("disagreement", "disagreement"),
                    ("thompson", "double Thompson"),
                ],
                default="random",
                help_text="what chose it: a strategy, or chance, which is the control",
                max_length=16,
            ),
        ),
    ]
