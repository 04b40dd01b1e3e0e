"""Watches a browser for what no page may do: errors, refused content, words with strangers."""

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

# A refusal by the content security policy is told to the page alone: have the page say it aloud.
_TELL = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `refused by the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Witness:
    """What went wrong in every tab of one profile, in the order in which it was seen."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Begin to watch, before the first page is opened."""
        context.add_init_script(_TELL)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.page.url})")

    def _on_error(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith(f"{self.origin}/"):
            self.complaints.append(f"a request to a stranger: {request.url}")
