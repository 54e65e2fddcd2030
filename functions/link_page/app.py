"""GET and HEAD /{linkId}; the script by which a page opens it, and the files by which an app takes it over.

Opening the page claims nothing: mail scanners and chat previews open links too. The page claims when its
user agrees, and goes on with the session's API.
"""

import json
import re
import secrets
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from latchkey import http
from latchkey.adapters.settings import PageSettings, page_settings, settings
from latchkey.domain import colours, ids, urls
from latchkey.domain.catalogue import Document, providers
from latchkey.domain.links import OPEN, Link, as_of
from latchkey.services import read_link

_HERE = Path(__file__).parent
LANGUAGES = ("en", "es")  # the first is for who reads neither


def _parts(texts: Mapping[str, str]) -> list[str]:
    """Text and, at each odd index, the name of what goes in between: values are put in once, never read."""
    html = (_HERE / "page.html").read_text("utf-8")
    html = re.sub(r"\{\{=(\w+)\}\}", lambda found: _marked(texts[found[1]]), html)
    for name, file in (("style", "page.css"), ("script", "page.js")):
        html = html.replace(f"{{{{{name}}}}}", (_HERE / file).read_text("utf-8"))
    return re.split(r"\{\{(\w+)\}\}", html)


def _marked(text: str) -> str:
    """A text as HTML, its placeholders as names of values."""
    return re.sub(r"\{(brand|provider)\}", r"<bdi>{{\1}}</bdi>", escape(text))


_TEXTS: dict[str, Any] = {
    language: json.loads((_HERE / f"texts/{language}.json").read_text("utf-8")) for language in LANGUAGES
}
_PARTS = {language: _parts(texts["page"]) for language, texts in _TEXTS.items()}
# What the script says. "<" is written so that no text ends the element that holds it.
_SCRIPT_TEXTS = {
    language: json.dumps(
        {part: texts[part] for part in ("script", "tasks", "reasons")}, ensure_ascii=False
    ).replace("<", "\\u003c")
    for language, texts in _TEXTS.items()
}

# For pages of other origins: they load it, and their users' browsers keep it.
_LATCHKEY_JS = Document.of((_HERE / "latchkey.js").read_text("utf-8"))
_LATCHKEY_JS_HEADERS = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=86400",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}

_NOTHING: Mapping[str, str] = {}


def _answer(request: http.Request) -> http.Response:
    """Show the link as it is now, or one of the files."""
    if request.route == "GET /latchkey.js":
        return http.unless_current(request, _LATCHKEY_JS, _LATCHKEY_JS_HEADERS)
    link_id = request.path_parameters.get("linkId")
    if link_id is None:
        return http.answer(200, _association(request.route))
    link = read_link.known(link_id)
    if link is None:
        return _html(request, 404, "unknown")
    request.log["linkId"] = link_id
    view = _view(link, request.now)
    texts = _TEXTS[_language(request)]
    say = texts["page"]
    # Who may show it in a frame: of an expired link nobody.
    values = {"origins": "" if view == "expired" else " ".join(link.embed_origins)}
    if not link.livemode:
        values["badge"] = f'<p class="badge">{escape(say["badge"])}</p>'
    code = _code(request)
    # Who has the link's id alone, from a returnUrl say, is shown nothing of what it is for.
    if code is None:
        return _html(request, 200, "incomplete" if view == "consent" else view, values)
    provider = providers().get(link.integration_id)  # a link may outlive its place in the catalogue
    name = link.integration_id if provider is None else provider.name
    values |= _way_back(link, request.now, say) | {
        "code": code,
        "provider": escape(name),
        "provider_logo": "" if provider is None or provider.logo is None else provider.logo,
    }
    if view == "consent":
        values |= {"initial": escape(name[0]), "tasks": _tasks(link, texts["tasks"])}
        # A phone's page has no code to show to another phone; such browsers say "Mobi" in their name.
        if "Mobi" not in (request.header("user-agent") or ""):
            values["qr"] = _qr(f"{link.base_url}/{link_id}?code={code}", say)
    return _html(request, 200, view, values)


def _failed(request: http.Request, failure: http.Response) -> http.Response:
    return _html(request, failure.status, "away", {"code": _code(request) or ""}, failure.headers)


lambda_handler = http.public(_answer, _failed)


def _code(request: http.Request) -> str | None:
    """The link's claim code, as far as the address holds it: what mails and chats add to it is left aside."""
    address = unquote(request.event.get("rawQueryString") or "")
    found = re.findall(r"clm_[0-9A-Za-z]{22}", address)
    link_id = request.path_parameters.get("linkId")
    return next((code for code in found if ids.link_id(code) == link_id), None)


def _language(request: http.Request) -> str:
    """The language that the browser likes best of those that there are (RFC 9110, 12.5.4)."""
    best, language = 0.0, LANGUAGES[0]
    for choice in (request.header("accept-language") or "").split(","):
        tag, _, weight = choice.partition(";")
        name = tag.strip().lower().partition("-")[0]
        found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
        quality = float(found[1]) if found else 0.0 if weight else 1.0
        if name in LANGUAGES and quality > best:
            best, language = quality, name
    return language


def _view(link: Link, now: int) -> str:
    match as_of(link, now).status:
        case "pending":
            return "consent"
        case "expired" | "canceled" as status:
            return status
    return "used"


def _tasks(link: Link, translated: Mapping[str, str]) -> str:
    provider = providers().get(link.integration_id)
    if provider is None:
        return ""
    resources = provider.resources
    tasks = dict.fromkeys(resources[o.resource][o.action].description for o in link.operations)
    return "".join(f'<li><span dir="auto">{escape(translated.get(task, task))}</span></li>' for task in tasks)


def _way_back(link: Link, now: int, say: Mapping[str, str]) -> dict[str, str]:
    if link.return_url is None:
        return {}
    scheme, _, rest = link.return_url.partition("://")
    place = say["theApp"]
    if scheme.lower() in ("https", "http"):  # http to the developer's own machine
        place = f"<bdi>{escape(re.split('[/?#]', rest, maxsplit=1)[0])}</bdi>"
    status = as_of(link, now).status
    url = link.return_url if status in OPEN else urls.add_status(link.return_url, status)
    return {
        "back_href": f' href="{escape(url)}"',
        "back_text": say["backTo"].replace("{place}", place),
        "afterwards": " " + say["afterwards"].replace("{place}", place),
    }


def _qr(url: str, say: Mapping[str, str]) -> str:
    """The address as a QR code that another device's camera reads."""
    import segno  # takes long to load, and most visitors come by phone

    # Any of the eight masks can be read; to try them all for the best takes four times as long.
    code = segno.make_qr(url, error="m", mask=2).svg_inline(border=4, omitsize=True)
    return (
        f'<figure class="scan"><div role="img" aria-label="{escape(say["qrLabel"])}">{code}</div>'
        f"<figcaption>{escape(say['qrHint'])}</figcaption></figure>"
    )


def _html(
    request: http.Request,
    status: int,
    view: str,
    values: Mapping[str, str] = _NOTHING,
    headers: Mapping[str, str] = _NOTHING,
) -> http.Response:
    nonce = secrets.token_urlsafe(16)
    language = _language(request)
    known = {**_constants(language), **values, "nonce": nonce, "view": view}
    parts = _PARTS[language].copy()
    parts[1::2] = [known.get(name, "") for name in parts[1::2]]
    body = None if request.route.startswith("HEAD") else "".join(parts)
    origins = known.get("origins", "")
    sent = {
        **_HEADERS,
        "Content-Language": language,
        "Content-Security-Policy": _policy(nonce, origins or "'none'"),
        # A page that opens this one as a popup is to see it close; no other keeps a hold of it.
        "Cross-Origin-Opener-Policy": "unsafe-none" if origins else "same-origin",
        **headers,
    }
    request.log["view"] = view
    return http.Response(status, body, sent)


def _policy(nonce: str, framed_by: str) -> str:
    logo = "/".join(page_settings().brand_logo_url.split("/", 3)[:3])  # its origin
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data: {logo}; "
        f"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {framed_by}"
    )


_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "Vary": "Accept-Language, User-Agent",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


@cache
def _constants(language: str) -> dict[str, str]:
    """What the deployer's parameters and the language put into every page."""
    config, say = page_settings(), _TEXTS[language]["page"]
    accents = colours.accents(config.accent_color)
    brand, logo, support = map(escape, (config.brand_name, config.brand_logo_url, config.support_address))
    legal = [
        f'<a href="{escape(url)}">{escape(say[name])}</a>'
        for name, url in (("privacy", config.privacy_url), ("terms", config.terms_url))
        if url
    ]
    href = support if support.startswith("https://") else f"mailto:{support}"
    return {
        "brand": brand,
        "logo": f'<img src="{logo}" alt="">' if logo else escape(config.brand_name[0]),
        "lang": language,
        "texts": _SCRIPT_TEXTS[language],
        "support": f'<p>{escape(say["help"])} <a href="{href}">{support.removeprefix("https://")}</a></p>'
        if support
        else "",
        "app_banner": _app_banner(config),
        "legal": f'<p class="legal">{" · ".join(legal)}</p>' if legal else "",
        "icon": accents["accent_light"][1:],
        **accents,
        "card_light": colours.CARD_LIGHT,
        "card_dark": colours.CARD_DARK,
    }


def _app_banner(config: PageSettings) -> str:
    """Safari's offer of the app, or of its App Clip, which then gets this page's address."""
    if not config.app_store_id:
        return ""
    content = f"app-id={config.app_store_id}"
    if config.apple_clip_ids:
        bundle = config.apple_clip_ids[0].partition(".")[2]  # without the team's prefix
        content += f", app-clip-bundle-id={bundle}, app-clip-display=card"
    return f'<meta name="apple-itunes-app" content="{escape(content)}">'


def _association(route: str) -> Any:
    """What Apple's and Google's devices ask a domain for before they hand its links to an app."""
    config = page_settings()
    if route.endswith("/assetlinks.json"):
        target = {
            "namespace": "android_app",
            "package_name": config.android_package,
            "sha256_cert_fingerprints": config.android_fingerprints,
        }
        relation = ["delegate_permission/common.handle_all_urls"]
        return [{"relation": relation, "target": target}] if config.android_package else []
    path = settings().link_base_url.split("/")[3:]  # after the scheme and the host
    components = [{"/": "/".join(["", *path, "link_*"])}]
    details = [{"appIDs": config.apple_app_ids, "components": components}]
    return {
        "applinks": {"details": details if config.apple_app_ids else []},
        "appclips": {"apps": config.apple_clip_ids},
    }
