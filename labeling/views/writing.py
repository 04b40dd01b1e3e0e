"""The writing page. Its POST stores a reply and answers with the next prompt."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.domain.content import reply_text
from labeling.domain.rendering import render_text
from labeling.domain.uids import ordered_uid
from labeling.exceptions import InvalidInput, NotFound, PrefloopError
from labeling.models import Project
from labeling.selectors.queue import CardMessage
from labeling.selectors.writing import (
    WritingCard,
    correctable,
    last_written,
    messages_of,
    writing_left,
    written_today,
)
from labeling.services.demonstrations import (
    Writing,
    revise_demonstration,
    submit_and_claim_writing,
)
from labeling.services.writing import (
    check_typed,
    claim_writing,
    renew_writing,
    save_writing_draft,
    skip_writing,
)
from labeling.views.access import answer, project_for, reader, signed_in, wants_piece
from labeling.views.writing_words import script_words


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """What is on the page: a prompt, and the text as it stands in the editor."""

    uid: UUID
    messages: tuple[CardMessage, ...]
    text: str
    lease_s: int = 0
    revision: int = 0
    guideline_version: int = 0
    corrects: bool = False


def _sheet_of(card: WritingCard, text: str | None = None) -> _Sheet:
    return _Sheet(
        uid=card.assignment_uid,
        messages=card.messages,
        text=card.draft if text is None else text,
        lease_s=int((card.expires_at - timezone.now()).total_seconds()),
        revision=card.draft_revision,
        guideline_version=card.guideline_version,
    )


def _answer(
    request: HttpRequest, project: Project, sheet: _Sheet | None, **more: Any
) -> HttpResponse:
    """Render the card, within the page where no piece was asked for.

    `more` may hold an `error`, which gives the status, and the HTML of a `preview`.
    """
    user = reader(request)
    context = {
        "project": project,
        "slug": project.slug,
        "sheet": sheet,
        "key": ordered_uid().hex,
        "done_today": written_today(user, project),
        "left": writing_left(project),
        "last": last_written(user, project),
        "asked": project.demonstrations_per_prompt,
        **more,
    }
    if not wants_piece(request):
        context["guideline"] = project.guidelines.order_by("-version").first()
        context["words"] = script_words()
    status = more["error"].status if more.get("error") else 200
    page, piece = "labeling/write.html", "labeling/_write_card.html"
    return answer(request, page, piece, context, status)


@never_cache
@require_GET
@signed_in
def write(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Lease the next prompt to the reader and show it with an editor.

    It is never cached: the way back would show a draft that was written further since.
    """
    project = project_for(request, slug, "judgement.make")
    card = claim_writing(actor=reader(request), project=project)
    return _answer(request, project, _sheet_of(card) if card else None)


@require_POST
@signed_in
def write_submit(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Store the reply and answer with the next prompt; without a script, lead to it."""
    user, uid = reader(request), _assignment_uid(request.POST)
    try:
        _written, card = submit_and_claim_writing(
            actor=user, assignment_uid=uid, writing=_writing_of(request.POST)
        )
    except InvalidInput as error:
        return _same_sheet(request, slug, error=error)
    return _next(request, slug, card)


@require_POST
@signed_in
def write_skip(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give the prompt back with a reason and answer with the next one."""
    said = (request.POST.get("reason", ""), request.POST.get("note", "").strip())
    reason = ": ".join(part for part in said if part)
    user, uid = reader(request), _assignment_uid(request.POST)
    try:
        skip_writing(actor=user, assignment_uid=uid, reason=reason)
    except InvalidInput as error:
        return _same_sheet(request, slug, error=error)
    project = project_for(request, slug, "judgement.make")
    return _next(request, slug, claim_writing(actor=user, project=project))


@require_POST
@signed_in
def write_draft(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Keep the half-written reply; the answer is the draft's revision."""
    revision = save_writing_draft(
        actor=reader(request),
        assignment_uid=_assignment_uid(request.POST),
        text=_text(request.POST),
    )
    if wants_piece(request):
        return JsonResponse({"revision": revision})
    return redirect("labeling:write", slug=slug)


@require_POST
@signed_in
def write_renew(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Put off the end of the reader's lease; 409 when it was lost."""
    renew_writing(actor=reader(request), assignment_uid=_assignment_uid(request.POST))
    return HttpResponse(status=204)


@require_POST
@signed_in
def write_preview(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the text as it will be read: the piece alone, or the page with the text still in it."""
    project = project_for(request, slug, "judgement.make")
    preview = render_text(check_typed(_text(request.POST), "text"))
    if wants_piece(request):
        return render(request, "labeling/_write_preview.html", {"preview": preview})
    return _same_sheet(request, slug, preview=preview, project=project)


@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def write_correct(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Show a reply of the reader's own again; take a correction, which supersedes it."""
    project = project_for(request, slug, "judgement.make")
    if request.method == "GET":
        return _answer(request, project, _correction(request, project, uid))
    try:
        revise_demonstration(
            actor=reader(request), assignment_uid=uid, writing=_writing_of(request.POST)
        )
    except InvalidInput as error:
        sheet = _correction(request, project, uid, _text(request.POST))
        return _answer(request, project, sheet, error=error)
    if wants_piece(request):
        return _answer(request, project, _claimed(request, project))
    return redirect("labeling:write", slug=slug)


def _correction(
    request: HttpRequest, project: Project, uid: UUID, text: str | None = None
) -> _Sheet:
    written = correctable(reader(request), project, uid)
    if written is None:
        raise NotFound(_("There is no such reply of yours, or it was withdrawn."))
    return _Sheet(
        uid=uid,
        messages=messages_of(written.prompt),
        text=reply_text(written.messages) if text is None else text,
        corrects=True,
    )


def _claimed(request: HttpRequest, project: Project, text: str | None = None) -> _Sheet | None:
    card = claim_writing(actor=reader(request), project=project)
    return _sheet_of(card, text) if card else None


def _next(request: HttpRequest, slug: str, card: WritingCard | None) -> HttpResponse:
    if not wants_piece(request):
        return redirect("labeling:write", slug=slug)
    project = project_for(request, slug, "judgement.make")
    return _answer(request, project, _sheet_of(card) if card else None)


def _same_sheet(
    request: HttpRequest,
    slug: str,
    *,
    project: Project | None = None,
    error: PrefloopError | None = None,
    preview: str = "",
) -> HttpResponse:
    """Show the prompt again with the text as it was sent: the lease is still the reader's."""
    project = project or project_for(request, slug, "judgement.make")
    text, uid = _text(request.POST), request.POST.get("corrects", "")
    if uid:
        sheet: _Sheet | None = _correction(request, project, _uid(uid), text)
    else:
        sheet = _claimed(request, project, text)
    return _answer(request, project, sheet, error=error, preview=preview)


def _text(data: QueryDict) -> str:
    """Return the text with the line ends that everybody else uses: forms send CR LF."""
    return data.get("text", "").replace("\r\n", "\n")


def _writing_of(data: QueryDict) -> Writing:
    """Return what a page sent. Raises InvalidInput, naming the field."""
    active = data.get("active_ms", "").strip()
    if active and not active.isdecimal():
        raise InvalidInput(
            _("A number was expected."), errors={"active_ms": [_("Must be milliseconds.")]}
        )
    return Writing(
        text=_text(data),
        idempotency_key=data.get("key", ""),
        active_ms=int(active) if active else None,
    )


def _assignment_uid(data: QueryDict) -> UUID:
    return _uid(data.get("assignment", ""))


def _uid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(_("There is no such prompt to write for, or it is not yours.")) from None
