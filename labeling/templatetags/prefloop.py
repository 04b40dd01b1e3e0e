"""What templates ask: the links of a project, a right, the name of a position."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling import language
from labeling.domain.content import text_of
from labeling.domain.rendering import FRAME
from labeling.models import Project
from labeling.permissions import ALLOWED, role_in

register = template.Library()

# Links of the training half are given by name alone: where it is not installed they are left out.
_LINKS = (
    (_("Overview"), "labeling:project_detail", "project.view"),
    (_("Rank"), "labeling:compare", "judgement.make"),
    (_("Write"), "labeling:write", "judgement.make"),
    (_("My work"), "labeling:own_work", "judgement.make"),
    (_("Prompts"), "labeling:prompt_list", "prompt.view"),
    (_("Imports"), "labeling:import_list", "prompt.import"),
    (_("Quality"), "labeling:quality", "quality.view"),
    (_("Snapshots"), "labeling:snapshot_list", "snapshot.view"),
    (_("Rounds"), "training:round_list", "round.view"),
    (_("Runs"), "training:run_list", "run.view"),
    (_("Models"), "training:model_list", "model.view"),
    (_("Playground"), "training:playground", "playground.use"),
    (_("Guidelines"), "labeling:guideline_list", "project.view"),
    (_("Members"), "labeling:member_list", "member.manage"),
    (_("Settings"), "labeling:project_settings", "project.configure"),
    (_("Log"), "labeling:audit_log", "audit.view"),
)


def _allows(context: template.Context, deed: str, project: Project) -> bool:
    """Ask the table of roles; the role itself is looked up once a request and project."""
    request = context.get("request")
    if not isinstance(request, HttpRequest) or not request.user.is_authenticated:
        return False
    if request.user.is_site_admin:
        return True
    roles: dict[int, Any] = request.__dict__.setdefault("role_by_project", {})
    if project.pk not in roles:
        roles[project.pk] = role_in(request.user, project)
    return roles[project.pk] in ALLOWED[deed]


@register.simple_tag(takes_context=True)
def may(context: template.Context, deed: str, project: Project) -> bool:
    """Return whether the reader of the page may do the deed in the project."""
    return _allows(context, deed, project)


@register.inclusion_tag("_project_nav.html", takes_context=True)
def project_nav(context: template.Context, project: Project) -> dict[str, Any]:
    """Draw the project's links, those alone that the reader may follow."""
    here = context["request"].path if "request" in context else ""
    links = []
    for label, name, deed in _LINKS:
        if name == "labeling:write" and not project.demonstrations_per_prompt:
            continue
        if name == "training:playground" and not project.opens_playground:
            deed = "project.configure"  # closed to annotators
        try:
            url = reverse(name, args=[project.slug])
        except NoReverseMatch:
            continue
        if _allows(context, deed, project):
            inside = here.startswith(url) and name != "labeling:project_detail"
            links.append({"label": label, "url": url, "current": here == url or inside})
    return {"links": links}


@register.filter
def letter(position: int) -> str:
    """Name a candidate by its position: A to I. Digits are left to the ranks."""
    return chr(ord("A") + position)


@register.filter
def badge_of(state: str) -> str:
    """Return the badge class that fits the state of an import, an export or a comparison."""
    if state in {"succeeded", "ready"}:
        return "good"
    if state in {"refused", "failed", "withdrawn"}:
        return "bad"
    if state == "gold":
        return "warn"
    return "busy" if state in {"queued", "running", "open"} else ""


@register.filter
def percent(share: float) -> int:
    """Return a share in whole per cent."""
    return round(share * 100)


@register.filter
def last_text(messages: list[dict[str, Any]]) -> str:
    """Return the text of a conversation's last message, for lists."""
    return text_of(messages[-1]) if messages else ""


@register.filter
def said(text: str, parts: dict[str, Any] | None = None) -> str:
    """Say a sentence of this project, kept in English, in the reader's language."""
    return language.said(text, parts)


@register.filter
def rendered(html: str) -> SafeString:
    """Return stored HTML for a page; what scrolls in it gets a name in the reader's language.

    The name is told by a screen reader where the keyboard reaches the frame of a table or formula.
    """
    if FRAME in html:
        table, formula = _named(gettext("Table")), _named(gettext("Formula"))
        html = html.replace(f"{FRAME}<table", f"{table}<table").replace(FRAME, formula)
    return mark_safe(html)  # noqa: S308 -- cleaned when it was stored


def _named(label: str) -> str:
    return FRAME.removesuffix(">") + format_html(' role="group" aria-label="{}">', label)
