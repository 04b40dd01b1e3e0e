"""Where outside models answer, and by which key; what they are to a project is a ModelVersion."""

import hashlib
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project


class Endpoint(models.Model):
    """An OpenAI-compatible server and the name under which it knows one model.

    Without a project every project may be offered its model. The key stands in an environment
    variable of the workers and of the web, or here under a secret; it is never shown.
    """

    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="endpoints"
    )
    name = models.CharField(_("name"), max_length=120)
    base_url = models.CharField(
        _("base URL"),
        max_length=500,
        help_text=_("Where the API begins, for example https://models.example.org/v1."),
    )
    model_name = models.CharField(
        _("model"), max_length=200, help_text=_("As the server calls it.")
    )
    key_variable = models.CharField(
        _("key's environment variable"),
        max_length=100,
        blank=True,
        help_text=_(
            "The variable that holds the key where workers and web run, for example OPENAI_API_KEY."
        ),
    )
    key_cipher = models.TextField(blank=True, help_text="the key under the newest secret")
    concurrency = models.PositiveSmallIntegerField(
        _("requests at a time"), default=4, help_text=_("At most so many are under way.")
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests a minute"), default=0, help_text=_("0: as many as the server takes.")
    )
    silence_s = models.PositiveIntegerField(
        _("longest silence in seconds"),
        default=60,
        help_text=_("Without a byte for so long, a request is tried again."),
    )
    answer_s = models.PositiveIntegerField(
        _("longest answer in seconds"),
        default=300,
        help_text=_("A reply that is not whole by then is tried again."),
    )
    retries = models.PositiveSmallIntegerField(
        _("retries"), default=4, help_text=_("Tries after the first one, further apart each time.")
    )
    allows_private = models.BooleanField(
        _("may lie in a private network"),
        default=False,
        help_text=_(
            "Lets this endpoint be at a private or local address, and without https. Only for a "
            "server of your own: whoever runs it is reached from within your network."
        ),
    )
    is_active = models.BooleanField(
        _("in use"), default=True, help_text=_("Switched off, nobody asks it any more.")
    )
    problem = models.TextField(blank=True, help_text="what the last test found wrong")
    problem_parts = models.JSONField(
        default=dict, blank=True, help_text="what `problem` is made of, to be said in any language"
    )
    checked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """A name stands once on the site; the key comes from one place."""

        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], name="endpoint_name_unique"),
            models.CheckConstraint(
                condition=Q(key_variable="") | Q(key_cipher=""), name="endpoint_one_key"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """Return what stands in the place of weights' hash: which model is asked, and where."""
        return hashlib.sha256(f"{self.base_url}\n{self.model_name}".encode()).hexdigest()
