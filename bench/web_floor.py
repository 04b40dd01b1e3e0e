"""The floor under bench-web: a Django view of exactly four statements, and nothing else.

It runs under the same gunicorn command line as the product, with the same pool and in the same
database, on tables of its own (`web_world` makes them) that carry only the indexes these statements
need. No middleware, no session, no template: what is left is what any page of Django over
PostgreSQL costs here.
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.settings import DATABASES, SECRET_KEY

INSERT = "INSERT INTO floor_judgement (comparison_id, annotator_id, tiers) VALUES (%s, %s, %s)"
CLOSE = "UPDATE floor_comparison SET state = 'closed' WHERE id = %s"
CLAIM = """
UPDATE floor_comparison SET state = 'leased', annotator_id = %s
 WHERE id = (SELECT id FROM floor_comparison WHERE state = 'open'
              ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, prompt_id
"""
READ = "SELECT html FROM floor_text WHERE prompt_id = %s ORDER BY slot"


def step(request: HttpRequest) -> HttpResponse:
    """Write a judgement of one comparison, claim the next one and answer with its texts."""
    annotator, comparison = int(request.POST["annotator"]), int(request.POST["assignment"])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, [comparison, annotator, request.POST["tiers"]])
        cursor.execute(CLOSE, [comparison])
        cursor.execute(CLAIM, [annotator])
        claimed, prompt = cursor.fetchone()
        cursor.execute(READ, [prompt])
        texts = "".join(row[0] for row in cursor.fetchall())
    body = f'<input name="assignment" value="{claimed}"><input name="key" value="-">{texts}'
    return HttpResponse(body, headers={"Content-Length": str(len(body.encode()))})


urlpatterns = [path("step/", step)]

if not settings.configured:
    settings.configure(
        DATABASES=DATABASES,
        SECRET_KEY=SECRET_KEY,
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
    )
application = get_wsgi_application()
