"""The only place where the routes of both halves meet."""

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated


def health(request: HttpRequest) -> JsonResponse:
    """Say that this process answers."""
    return JsonResponse({"status": "ok"})


schema = SpectacularAPIView.as_view(permission_classes=[IsAuthenticated])
swagger = SpectacularSwaggerSplitView.as_view(
    url_name="api_schema", template_name="api_docs.html", permission_classes=[IsAuthenticated]
)
# Swagger's style sheet carries its icons in itself; this one page may show them.
docs = csp_update({"img-src": ["data:"]})(login_required(swagger))

urlpatterns = [
    path("health", health, name="health"),
    path("", include("labeling.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include("labeling.api.urls")),
    path("api/v1/schema/", schema, name="api_schema"),
    path("api/v1/docs/", docs, name="api_docs"),
]
if "training" in settings.INSTALLED_APPS:
    urlpatterns += [
        path("", include("training.urls")),
        path("api/v1/", include("training.api.urls")),
    ]
