"""All settings, read from the environment, with defaults by which a fresh checkout runs."""

from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import embedded_postgres
from config.env import env_bool, env_int, env_list, env_str

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything the application writes: uploads, exports, run folders, the embedded database.
VAR_DIR = Path(env_str("PREFLOOP_VAR", str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env_bool("PREFLOOP_DEBUG", default=False)


def _secret_key() -> str:
    """Return the secret from the environment, else one kept in a private file of this checkout."""
    given = env_str("PREFLOOP_SECRET_KEY", "")
    if given:
        return given
    if env_bool("PREFLOOP_PRODUCTION", default=False):
        raise ImproperlyConfigured("Set PREFLOOP_SECRET_KEY: a production server needs its own.")
    return embedded_postgres.kept_secret(VAR_DIR / "secret_key")


SECRET_KEY = _secret_key()
# What locks the keys of endpoints, newest first; the secret key opens what it has locked, too.
ENDPOINT_SECRETS = env_list("PREFLOOP_ENDPOINT_SECRETS")
if any(len(secret) < 32 for secret in ENDPOINT_SECRETS):
    raise ImproperlyConfigured(
        "PREFLOOP_ENDPOINT_SECRETS holds a secret of fewer than 32 characters: make a longer one."
    )
ALLOWED_HOSTS = env_list("PREFLOOP_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("PREFLOOP_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "labeling",
    "training",
]
if env_bool("PREFLOOP_WITHOUT_TRAINING", default=False):  # labelling alone is complete
    INSTALLED_APPS.remove("training")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.PersonalSettingsMiddleware",
    "config.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    },
]

# --- database: the embedded server, unless DATABASE_URL names another -------------------------
_database_url = env_str("DATABASE_URL", "")
if _database_url:
    DATABASES: dict[str, Any] = {"default": dj_database_url.parse(_database_url, conn_max_age=0)}
    if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL server (15 or later).")
else:
    DATABASES = {"default": embedded_postgres.django_database(VAR_DIR)}
_options: dict[str, Any] = DATABASES["default"].setdefault("OPTIONS", {})
# Each process keeps its own pool; threads borrow a connection for one request or task.
_options["pool"] = {
    "min_size": env_int("PREFLOOP_POOL_MIN", 1),
    "max_size": env_int("PREFLOOP_POOL_MAX", 8, minimum=1),
    "timeout": 30,
}
# A statement that comes back is planned once: planning took the server longer than all its work
# on a ranking step. Turn it off behind a pooler that hands connections on between transactions.
if env_bool("PREFLOOP_PREPARED_STATEMENTS", default=True):
    _options |= {"server_side_binding": True, "prepare_threshold": 3}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "labeling.User"
AUTHENTICATION_BACKENDS = ["config.sessions.AccountBackend"]
SESSION_ENGINE = "config.sessions"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "labeling:login"
LOGIN_REDIRECT_URL = "labeling:project_list"
LOGOUT_REDIRECT_URL = "labeling:login"
LANGUAGE_CODE = "en"
# Each by its own name: whoever looks for theirs may read no other.
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env_str("PREFLOOP_TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

# --- files -------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static"
UPLOAD_DIR = VAR_DIR / "uploads"
EXPORT_DIR = VAR_DIR / "exports"
RUN_DIR = Path(env_str("PREFLOOP_RUN_DIR", str(VAR_DIR / "runs")))
MODEL_DIR = Path(env_str("PREFLOOP_MODEL_DIR", str(VAR_DIR / "models")))
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
MAX_IMPORT_BYTES = env_int("PREFLOOP_MAX_IMPORT_BYTES", 512 * 1024 * 1024)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.storage.StaticFiles"
    },
}
WHITENOISE_MANIFEST_STRICT = False

# --- Celery --------------------------------------------------------------------------------------
# The host's name means nothing to files, but without one every process warns about it.
CELERY_BROKER_URL = env_str("CELERY_BROKER_URL", "filesystem://localhost//")
if CELERY_BROKER_URL.startswith("filesystem://"):
    _broker_dir = VAR_DIR / "broker"
    for _folder in ("queue", "processed", "control"):
        (_broker_dir / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker_dir / "queue"),
        "data_folder_out": str(_broker_dir / "queue"),
        "control_folder": str(_broker_dir / "control"),
        "store_processed": False,
    }
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "training.tasks.train": {"queue": "gpu"},
    "training.tasks.measure_machine": {"queue": "gpu"},
    # On the machine of the web server, which reaches served models by loopback.
    "training.playground.tasks.serve_model": {"queue": "serve"},
}
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "expire-leases": {"task": "labeling.tasks.expire_leases", "schedule": 30.0},
    "ring-imports-and-exports": {"task": "labeling.tasks.ring_due", "schedule": 20.0},
    "render-stale": {"task": "labeling.tasks.render_stale", "schedule": 60.0},
}
if "training" in INSTALLED_APPS:
    CELERY_BEAT_SCHEDULE["ring-runs"] = {"task": "training.tasks.ring_due", "schedule": 10.0}
    CELERY_BEAT_SCHEDULE["turn-rounds"] = {"task": "training.tasks.turn_rounds", "schedule": 5.0}
    CELERY_BEAT_SCHEDULE["settle-contests"] = {
        "task": "training.tasks.settle_contests",
        "schedule": 5.0,
    }
    CELERY_BEAT_SCHEDULE["ring-served"] = {
        "task": "training.playground.tasks.ring_due",
        "schedule": 5.0,
    }
    CELERY_BEAT_SCHEDULE["resume-waiting"] = {
        "task": "training.tasks.resume_waiting",
        "schedule": 10.0,
        "options": {"expires": 10},  # a silent server must not let them gather
    }
    CELERY_BEAT_SCHEDULE["tidy-runs"] = {"task": "training.tasks.tidy", "schedule": 300.0}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")

# --- runs ----------------------------------------------------------------------------------------
RUN_HEARTBEAT_S = env_int("PREFLOOP_RUN_HEARTBEAT_S", 5, minimum=1)
RUN_LOST_AFTER_S = env_int("PREFLOOP_RUN_LOST_AFTER_S", 60, minimum=2)
RUN_STOP_GRACE_S = env_int("PREFLOOP_RUN_STOP_GRACE_S", 120, minimum=1)

# --- models that people talk to ------------------------------------------------------------------
SERVE_MODELS = env_int("PREFLOOP_SERVE_MODELS", 2)  # at a time, on this machine
SERVE_LEASE_S = env_int("PREFLOOP_SERVE_LEASE_S", 600, minimum=1)
SERVE_LOAD_S = env_int("PREFLOOP_SERVE_LOAD_S", 300, minimum=1)
SERVE_HEARTBEAT_S = env_int("PREFLOOP_SERVE_HEARTBEAT_S", 2, minimum=1)
SERVE_LOST_AFTER_S = env_int("PREFLOOP_SERVE_LOST_AFTER_S", 20, minimum=2)
SERVE_THREADS = env_int("PREFLOOP_SERVE_THREADS", 4, minimum=1)
SERVE_DEVICE = env_str("PREFLOOP_SERVE_DEVICE", "auto")  # or cpu, beside a GPU that is to train
SERVE_LOG_DIR = VAR_DIR / "log"
# Each holds a thread of the web process in which it is, which has four.
PLAYGROUND_STREAMS = env_int("PREFLOOP_PLAYGROUND_STREAMS", 2, minimum=1)

# --- API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "config.api.StablePagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "config.api.exception_handler",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Prefloop",
    "DESCRIPTION": "Rank model outputs, train on the rankings, sample the new policy.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # Two choices of one name would otherwise get names made of hashes.
    "ENUM_NAME_OVERRIDES": {
        "SnapshotKindEnum": "labeling.models.Snapshot.Kind",
    },
}
if "training" in INSTALLED_APPS:
    SPECTACULAR_SETTINGS["ENUM_NAME_OVERRIDES"] |= {
        "ModelKindEnum": "training.models.ModelVersion.Kind",
        "RunStateEnum": "training.models.TrainingRun.State",
        "RoundStateEnum": "training.rounds.models.Round.State",
        "ContestStateEnum": "training.contests.models.Contest.State",
    }

# --- the browser --------------------------------------------------------------------------------
# Model output is hostile text. Nothing on a page runs or loads but this server's own files.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
_https = env_bool("PREFLOOP_HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
if _https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31536000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env_str("PREFLOOP_LOG_LEVEL", "INFO")},
    "loggers": {"django.server": {"level": "WARNING"}},
}
