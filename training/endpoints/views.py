"""The pages of endpoints, for site admins: named, changed, tested, offered to projects."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.permissions import require
from labeling.views.access import answer, go_to, reader, signed_in, wants_piece
from training.endpoints.forms import EndpointForm, OfferForm
from training.endpoints.models import Endpoint
from training.endpoints.selectors import endpoints, get_endpoint, offered
from training.endpoints.services import (
    check_endpoint,
    create_endpoint,
    offer_model,
    update_endpoint,
)

PER_PAGE = 50
OFFERED_SHOWN = 50


def _endpoint(request: HttpRequest, pk: int) -> Endpoint:
    require(reader(request), "endpoint.manage")
    return get_endpoint(pk)


@require_GET
@signed_in
def endpoint_list(request: HttpRequest) -> HttpResponseBase:
    """Show all endpoints, and whether each answered when it was last asked."""
    require(reader(request), "endpoint.manage")
    page = Paginator(endpoints(), PER_PAGE).get_page(request.GET.get("page"))
    template, piece = "training/endpoint_list.html", "training/_endpoint_rows.html"
    return answer(request, template, piece, {"page": page})


@sensitive_post_parameters("key")
@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def endpoint_new(request: HttpRequest) -> HttpResponseBase:
    """Name an endpoint."""
    require(reader(request), "endpoint.manage")
    form = EndpointForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = create_endpoint(
                actor=reader(request), key=form.given_key() or "", **form.settings()
            )
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "training:endpoint_detail", made.pk)
    page, piece = "training/endpoint_new.html", "training/_endpoint_form.html"
    return answer(request, page, piece, {"form": form}, 422 if form.errors else 200)


def _shown(
    request: HttpRequest,
    endpoint: Endpoint,
    *,
    form: EndpointForm | None = None,
    offer: OfferForm | None = None,
    piece: str = "training/_endpoint_form.html",
) -> HttpResponseBase:
    context = {
        "endpoint": endpoint,
        "form": form or EndpointForm.about(endpoint),
        "offer": offer or OfferForm(endpoint=endpoint),
        "offered": offered(endpoint)[:OFFERED_SHOWN],
    }
    faulty = (form is not None and form.errors) or (offer is not None and offer.errors)
    status = 422 if faulty else 200
    return answer(request, "training/endpoint_detail.html", piece, context, status)


@sensitive_post_parameters("key")
@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def endpoint_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show an endpoint, and change it."""
    endpoint = _endpoint(request, pk)
    if request.method == "GET":
        return _shown(request, endpoint)
    form = EndpointForm.about(endpoint, request.POST)
    if form.is_valid():
        try:
            given = form.settings()
            update_endpoint(actor=reader(request), endpoint=endpoint, key=form.given_key(), **given)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "training:endpoint_detail", pk)
    return _shown(request, endpoint, form=form)


@require_POST
@signed_in
def endpoint_test(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask the server for one short reply, and show what came of it."""
    endpoint = _endpoint(request, pk)
    check_endpoint(actor=reader(request), endpoint=endpoint)
    if not wants_piece(request):
        return go_to(request, "training:endpoint_detail", pk)
    return _shown(request, get_endpoint(pk), piece="training/_endpoint_state.html")


@require_POST
@signed_in
def endpoint_offer(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Let a project ask the endpoint's model."""
    endpoint = _endpoint(request, pk)
    form = OfferForm(request.POST, endpoint=endpoint)
    if form.is_valid():
        given = form.cleaned_data["project"]
        try:
            offer_model(actor=reader(request), endpoint=endpoint, project=given)
        except PrefloopError as error:
            refuse(form, error)
        else:
            form = OfferForm(endpoint=endpoint)
    if not form.errors and not wants_piece(request):
        return go_to(request, "training:endpoint_detail", pk)
    return _shown(request, endpoint, offer=form, piece="training/_endpoint_offer.html")
