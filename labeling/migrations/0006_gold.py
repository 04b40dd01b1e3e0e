"""Gold items, the two settings that go with them, and an index over the skips of each annotator."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds one table; both settings are off."""

    dependencies = [
        ("labeling", "0005_writing"),
    ]

    operations = [
        migrations.CreateModel(
            name="GoldItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("tiers", models.JSONField(help_text="slots, best tier first, as in a judgement")),
                ("note", models.CharField(blank=True, max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "active"), ("withdrawn", "withdrawn")],
                        default="active",
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="project",
            name="gold_share",
            field=models.FloatField(
                db_default=0.0,
                default=0.0,
                help_text="This share of everybody's cards are gold items: 0.1 is one in ten.",
                validators=[
                    django.core.validators.MinValueValidator(0.0),
                    django.core.validators.MaxValueValidator(0.5),
                ],
                verbose_name="gold share",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="shows_agreement",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Annotators see how far they agree with others and with gold.",
                verbose_name="show people their agreement",
            ),
        ),
        migrations.AlterField(
            model_name="comparison",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "open"),
                    ("closed", "closed"),
                    ("withdrawn", "withdrawn"),
                    ("gold", "gold"),
                ],
                default="open",
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("state", "skipped")),
                fields=["annotator", "ended_at"],
                name="assignment_skips",
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(("gold_share__gte", 0), ("gold_share__lte", 0.5)),
                name="project_gold_share_bounded",
            ),
        ),
        migrations.AddField(
            model_name="golditem",
            name="comparison",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="gold",
                to="labeling.comparison",
            ),
        ),
        migrations.AddField(
            model_name="golditem",
            name="created_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="golditem",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="gold_items",
                to="labeling.project",
            ),
        ),
        migrations.AddField(
            model_name="golditem",
            name="source",
            field=models.ForeignKey(
                db_index=False,
                help_text="the judgement it was taken from: its annotator is not measured by it",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labeling.judgement",
            ),
        ),
        migrations.AddIndex(
            model_name="golditem",
            index=models.Index(
                condition=models.Q(("state", "active")), fields=["project"], name="gold_active"
            ),
        ),
    ]
