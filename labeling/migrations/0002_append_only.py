"""Judgements and their pairs are append-only, and the database sees to it.

Erasing a person replaces free text by a tombstone; only that service sets `prefloop.erasing`.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION prefloop_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('prefloop.erasing', true) = 'on' AND TG_OP = 'UPDATE' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only: write a judgement that supersedes the old one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER judgement_append_only BEFORE UPDATE OR DELETE ON labeling_judgement
    FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
CREATE TRIGGER pair_append_only BEFORE UPDATE OR DELETE ON labeling_preferencepair
    FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
"""

BACKWARD = """
DROP TRIGGER pair_append_only ON labeling_preferencepair;
DROP TRIGGER judgement_append_only ON labeling_judgement;
DROP FUNCTION prefloop_append_only();
"""


class Migration(migrations.Migration):
    """Adds the two triggers."""

    dependencies = [("labeling", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
