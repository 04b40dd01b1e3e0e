"""How an endpoint's key is kept: under a secret of this site, which can be rotated.

The first of PREFLOOP_ENDPOINT_SECRETS locks, every one of them opens, and so does the site's own
secret key, which is used alone where no other is given. To rotate: put a new secret first, restart,
run `manage.py relock_endpoint_keys`, and take the old one away.
"""

import base64
import hashlib
import re

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput

# Only what is named as a key of an API: no other secret of this machine can be sent anywhere.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(API_KEY|API_TOKEN)")
MAX_KEY = 1000


def _ring() -> MultiFernet:
    secrets = [*settings.ENDPOINT_SECRETS, settings.SECRET_KEY]
    return MultiFernet([Fernet(_derived(secret)) for secret in secrets])


def _derived(secret: str) -> bytes:
    digest = hashlib.sha256(b"prefloop: keys of endpoints\0" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest)


def lock_key(key: str) -> str:
    """Return a key as it is stored."""
    return _ring().encrypt(key.encode()).decode()


def open_key(cipher: str) -> str:
    """Return a stored key. Raises InvalidInput where no secret of this site opens it."""
    try:
        return _ring().decrypt(cipher.encode()).decode()
    except InvalidToken:
        raise InvalidInput(
            _(
                "No secret of this site opens the endpoint's key: put the secret that locked it "
                "into PREFLOOP_ENDPOINT_SECRETS, or give the key again."
            )
        ) from None


def relock_key(cipher: str) -> str:
    """Return a stored key under the newest secret. Raises InvalidInput as `open_key` does."""
    return lock_key(open_key(cipher))


def key_problem(key: str) -> str | None:
    """Return why a key can't be taken; None where it can."""
    if not (key.isascii() and key.isprintable() and len(key) <= MAX_KEY) or " " in key:
        return _("The key holds characters that no key has: copy it once more.")
    return None


def variable_problem(name: str) -> str | None:
    """Return why an environment variable may not be named; None where it may."""
    if not _VARIABLE.fullmatch(name):
        return _(
            "Name a variable in capitals that ends in _API_KEY or _API_TOKEN, such as "
            "OPENAI_API_KEY."
        )
    return None
