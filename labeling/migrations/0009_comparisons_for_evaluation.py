from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0008_comparisons_for_ai"),
    ]

    operations = [
        migrations.AddField(
            model_name="comparison",
            name="for_evaluation",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="measures models: nothing learns from what is judged here, so no snapshot takes it",
            ),
        ),
    ]
