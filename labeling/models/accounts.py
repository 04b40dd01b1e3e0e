"""People who sign in, and the record of what they did."""

from typing import ClassVar
from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _


def validate_time_zone(name: str) -> None:
    """Refuse a name that the system's time zone data does not know."""
    if name not in available_timezones():
        raise ValidationError(_("%(name)s is no known time zone."), params={"name": name})


class User(AbstractUser):
    """An account. "Today" is reckoned in its time zone; pages speak its language."""

    time_zone = models.CharField(
        _("time zone"), max_length=64, default="UTC", validators=[validate_time_zone]
    )
    language = models.CharField(
        _("language"), max_length=16, blank=True, help_text=_("Empty: what the browser asks for.")
    )

    @property
    def is_site_admin(self) -> bool:
        """Whether this account may do everything in every project."""
        return self.is_active and self.is_superuser


class AuditEvent(models.Model):
    """One thing that somebody did, written in the same transaction as the deed."""

    actor = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    project = models.ForeignKey(
        "labeling.Project", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Read newest first within a project."""

        indexes: ClassVar = [models.Index(fields=["project", "-id"], name="audit_project")]

    def __str__(self) -> str:
        return f"{self.verb} {self.object_type} {self.object_id}"
