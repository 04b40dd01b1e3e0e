from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0007_no_draft_of_a_ranking"),
    ]

    operations = [
        migrations.AddField(
            model_name="comparison",
            name="for_ai",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="waits for AI judges alone: people are not given it, and its overlap "
                "counts what AI judges say; on any other comparison that is surplus",
            ),
        ),
        migrations.AddConstraint(
            model_name="comparison",
            constraint=models.CheckConstraint(
                condition=models.Q(("for_ai", False), ("open_slots", 0), _connector="OR"),
                name="for_ai_has_no_open_slots",
            ),
        ),
    ]
