"""Where the static files of production settings come from."""

from typing import Any, ClassVar

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Compressed files named by their content, in the imports of our own scripts too.

    A module that imports another by a plain name would go on with an old one after an update. Not
    for every script (`support_js_module_import_aggregation`): among those that packages bring are
    some that name what is not there.
    """

    patterns: ClassVar[Any] = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("labeling/*.js", HashedFilesMixin._js_module_import_aggregation_patterns[1]),  # type: ignore[attr-defined]
    )
