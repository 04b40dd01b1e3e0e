import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What a model was judged and revised by must be readable as it was: another wording is a version
# of its own.
FORWARD = """
CREATE FUNCTION prefloop_constitution_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a constitution''s version never changes: publish the next one'
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER constitution_words BEFORE UPDATE ON training_constitutionversion
    FOR EACH ROW WHEN (
        OLD.principles IS DISTINCT FROM NEW.principles OR OLD.sha256 <> NEW.sha256
        OR OLD.number <> NEW.number OR OLD.constitution_id <> NEW.constitution_id)
    EXECUTE FUNCTION prefloop_constitution_words();
"""

BACKWARD = """
DROP TRIGGER constitution_words ON training_constitutionversion;
DROP FUNCTION prefloop_constitution_words();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0010_offered_prompts"),
        ("training", "0011_served_models"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Constitution",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
                        related_name="constitutions",
                        to="labeling.project",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name"), name="constitution_name_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConstitutionVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "principles",
                    models.JSONField(
                        help_text='[{"key", "critique", "revision", "comparison"}, ...]'
                    ),
                ),
                (
                    "sha256",
                    models.CharField(help_text="over all principles, in order", max_length=64),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "constitution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="training.constitution",
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
            ],
            options={
                "ordering": ["-number"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("constitution", "number"), name="constitution_version_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RevisingRun",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="revising",
                        serialize=False,
                        to="training.trainingrun",
                    ),
                ),
                (
                    "selection",
                    models.JSONField(default=dict, help_text="which prompts: tags, count, seed"),
                ),
                ("prompt_ids", models.JSONField(default=list)),
                ("demonstrations_made", models.PositiveIntegerField(default=0)),
                (
                    "constitution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revising_runs",
                        to="training.constitutionversion",
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revising_runs",
                        to="training.modelversion",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RevisedDemonstration",
            fields=[
                (
                    "demonstration",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="revised",
                        serialize=False,
                        to="labeling.demonstration",
                    ),
                ),
                (
                    "chain",
                    models.JSONField(
                        help_text='{"reply": {...}, "rounds": [{"principle", "critique", '
                        '"revision"}, ...]}'
                    ),
                ),
                (
                    "revising_run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revised",
                        to="training.revisingrun",
                    ),
                ),
            ],
            options={
                "ordering": ["demonstration"],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
