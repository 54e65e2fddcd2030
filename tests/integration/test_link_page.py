"""The link's page and the two association files, through the handler."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import zxingcpp

from functions.link_page import app
from latchkey.adapters import aws, settings, store
from latchkey.domain import catalogue
from latchkey.domain.connector_protocol import REASONS
from latchkey.domain.errors import UnavailableError
from latchkey.domain.links import Session
from tests.integration.conftest import Answer, Output, Stack, founding, sample_event

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1"
HOSTILE = "<script>alert(1)</script>\"'&{{nonce}} \u202e" + "w" * 20


def invoke(event: dict[str, Any]) -> Answer:
    raw = app.lambda_handler(event, None)
    kept = "public, max-age=86400" if event["routeKey"] == "GET /latchkey.js" else "no-store"
    assert raw["headers"]["Cache-Control"] == kept
    return Answer(raw["statusCode"], raw["headers"], raw.get("body", ""))


def page(
    link: dict[str, Any],
    code: str | None = None,
    method: str = "GET",
    agent: str = PHONE,
    *,
    query: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """The page of a created link, by default with its own claim code."""
    event = sample_event("link_page") | {
        "routeKey": f"{method} /{{linkId}}",
        "pathParameters": {"linkId": link["linkId"]},
        "rawQueryString": query
        if query is not None
        else f"code={link['claimCode'] if code is None else code}",
    }
    event["headers"] |= {"user-agent": agent} | (headers or {})
    return invoke(event)


def view(answer: Answer) -> str:
    found = re.search(r'<body data-view="(\w+)"', answer.text)
    assert found
    return found[1]


class Document(HTMLParser):
    """The elements' names and attributes, and the text outside styles and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data


def set_page(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.page_settings.cache_clear()
    app._constants.cache_clear()


@pytest.fixture(autouse=True)
def fresh_settings() -> None:
    settings.page_settings.cache_clear()
    app._constants.cache_clear()


def test_the_page_says_what_is_asked_and_by_whom(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    set_page(monkeypatch, BRAND_NAME="Northwind", SUPPORT_ADDRESS="help@northwind.example")
    answer = page(stack.create(founding()).json)
    assert (answer.status, view(answer)) == (200, "consent")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    text = " ".join(Document(answer.text).text.split())
    for said in (
        "Connect your T-Mobile account",
        "Northwind asks to do this for you at T-Mobile:",
        "Read your saved payment methods",
        "Save a new card as your payment method",
        "Afterwards you go back to your-app.com.",
        "Need help? help@northwind.example",
    ):
        assert said in text


def test_the_way_back_to_a_web_app_names_its_host_and_to_an_app_none(stack: Stack) -> None:
    for url, place in (
        ("https://your-app.com/a?b", "your-app.com"),
        ("http://localhost:3000/a?b", "localhost:3000"),
        ("myapp://callback", "the app"),
    ):
        text = " ".join(Document(page(stack.create(founding(returnUrl=url)).json).text).text.split())
        assert f"Back to {place} " in text


def test_a_page_with_everything_in_it_is_under_60_kb_and_loads_nothing(stack: Stack) -> None:
    link = stack.create(founding()).json
    answer = page(link, agent="Mozilla/5.0 (X11; Linux x86_64)")
    assert len(answer.text.encode()) < 60_000
    for tag, attributes in Document(answer.text).elements:
        assert tag not in ("iframe", "img", "object", "embed")
        assert "src" not in attributes
        assert tag != "link" or (attributes["href"] or "").startswith("data:")


def test_each_state_of_a_known_link_is_a_page(stack: Stack) -> None:
    canceled = stack.create(founding()).json
    claimed = stack.create(founding()).json
    expiring = stack.create(founding(expiresIn=60)).json
    store.claim(claimed["linkId"], Session(stack.now, stack.now + 900_000, b"x"), "t")
    set_status(stack, canceled, "canceled")
    stack.now = expiring["expiresAt"]
    views = {view(page(link)) for link in (canceled,)} | {view(page(claimed))} | {view(page(expiring))}
    assert views == {"canceled", "used", "expired"}
    for status in ("complete", "failed"):
        set_status(stack, claimed, status)
        answer = page(claimed)
        assert (answer.status, view(answer)) == (200, "used")


def set_status(stack: Stack, link: dict[str, Any], status: str) -> None:
    stack.dynamodb.Table("LinksTable").update_item(
        Key={"pk": link["linkId"], "sk": "link"},
        UpdateExpression="SET #s = :s, completedAt = :t",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": status, ":t": stack.now},
    )


@pytest.mark.parametrize("link_id", ["link_" + "0" * 22, "favicon.ico", "link_", "key#abc"])
def test_an_unknown_link_is_a_404_page(stack: Stack, link_id: str) -> None:  # noqa: ARG001 # its tables
    answer = page({"linkId": link_id, "claimCode": "clm_" + "0" * 22})
    assert (answer.status, view(answer)) == (404, "unknown")


@pytest.mark.parametrize("code", ["", "clm_" + "0" * 22, "clm_é", "x" * 5000])
def test_without_its_code_a_link_shows_neither_what_it_is_for_nor_the_way_back(
    stack: Stack, code: str
) -> None:
    answer = page(stack.create(founding()).json, code=code)
    assert (answer.status, view(answer)) == (200, "incomplete")
    for secret in ("T-Mobile", "payment", "your-app.com"):
        assert secret not in Document(answer.text).text


def test_looking_changes_nothing_and_head_has_no_body(stack: Stack) -> None:
    link = stack.create(founding()).json
    before = stack.rows("LinksTable")
    shown, head = page(link), page(link, method="HEAD")
    assert (head.status, head.text) == (200, "")
    assert head.headers.keys() == shown.headers.keys()
    assert stack.rows("LinksTable") == before


def test_a_browser_may_do_no_more_than_the_page_needs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    set_page(monkeypatch, BRAND_LOGO_URL="https://cdn.example/a/logo.png?v=1")
    link = stack.create(founding()).json
    answer, again = page(link), page(link)
    nonces = set(re.findall(r'nonce="([^"]*)"', answer.text))
    assert len(nonces) == 1
    assert nonces != set(re.findall(r'nonce="([^"]*)"', again.text))
    (nonce,) = nonces
    assert len(nonce) >= 22  # 128 bits in base64
    assert answer.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "img-src data: https://cdn.example",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    wanted = {
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
        "Strict-Transport-Security": "max-age=31536000",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    assert wanted.items() <= answer.headers.items()
    assert "camera=()" in answer.headers["Permissions-Policy"]


def framed_by(answer: Answer) -> str:
    """Who may show the page in a frame, by its policy."""
    return answer.headers["Content-Security-Policy"].partition("frame-ancestors ")[2]


def test_the_links_origins_alone_may_frame_its_page_and_keep_hold_of_its_popup(stack: Stack) -> None:
    origins = ["https://shop.example", "http://localhost:3000"]
    link = stack.create(founding(embedOrigins=origins)).json
    for act in (lambda: None, lambda: stack.claim(link["claimCode"]), lambda: stack.cancel(link["linkId"])):
        act()
        # After the claim the address has no code.
        for answer in (page(link), page(link, code=""), page(link, method="HEAD")):
            assert framed_by(answer) == "https://shop.example http://localhost:3000"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
        assert 'data-origins="https://shop.example http://localhost:3000"' in page(link).text
    assert framed_by(page(stack.create(founding()).json)) == "'none'"


def test_nobody_frames_an_expired_or_unknown_link(stack: Stack) -> None:
    link = stack.create(founding(embedOrigins=["https://shop.example"])).json
    stack.now = link["expiresAt"]
    for answer in (page(link), page({"linkId": "link_" + "0" * 22, "claimCode": ""})):
        assert framed_by(answer) == "'none'"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert 'data-origins=""' in answer.text


def script(**headers: str) -> Answer:
    event = sample_event("link_page") | {"routeKey": "GET /latchkey.js", "pathParameters": None}
    event["headers"] |= headers
    return invoke(event)


def test_any_page_may_load_the_script_and_keep_it_for_a_day(
    stack: Stack,  # noqa: ARG001 # its environment
) -> None:
    answer = script()
    assert (answer.status, answer.text) == (200, (Path(app.__file__).parent / "latchkey.js").read_text())
    wanted = {
        "Content-Type": "text/javascript; charset=utf-8",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    assert wanted.items() <= answer.headers.items()
    etag = answer.headers["ETag"]
    assert re.fullmatch('"[0-9a-f]{32}"', etag)
    again = script(**{"if-none-match": f"W/{etag}"})
    assert (again.status, again.text) == (304, "")
    assert (wanted | {"ETag": etag}).items() <= again.headers.items()
    assert script(**{"if-none-match": '"other"'}).status == 200


def test_a_hostile_name_stays_text(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    set_page(monkeypatch, BRAND_NAME=HOSTILE)
    real = catalogue.providers()
    operation = real["tmobile"].resources["paymentMethod"]["read"]._replace(description=HOSTILE)
    hostile = real["tmobile"]._replace(
        name=HOSTILE, resources={"paymentMethod": {"read": operation, "write": operation}}
    )
    link = stack.create(founding(returnUrl="myapp://callback?x='y'")).json
    plain = Document(page(stack.create(founding()).json).text)
    monkeypatch.setattr(app, "providers", lambda: {"tmobile": hostile})
    document = Document(page(link).text)
    assert [tag for tag, _ in document.elements if tag == "script"] == ["script"] * 2
    assert {tag for tag, _ in document.elements} == {tag for tag, _ in plain.elements}
    assert document.text.count(HOSTILE) > 4
    (body,) = [attributes for tag, attributes in document.elements if tag == "body"]
    assert body["data-brand"] == body["data-provider"] == HOSTILE


def test_only_a_desktop_gets_the_qr_code_and_it_is_this_links_address(stack: Stack) -> None:
    link = stack.create(founding()).json
    assert "<svg" not in page(link).text.split("<body")[1]
    assert qr_code(page(link, agent="Mozilla/5.0 (X11; Linux x86_64)").text) == link["appClipUrl"]


def qr_code(html: str) -> str:
    """What a reader makes of the page's QR code, which is drawn as horizontal strokes."""
    found = re.search(r'<svg viewBox="0 0 (\d+) \d+".*?<path[^>]* d="([^"]*)"', html)
    assert found
    size, scale = int(found[1]), 4
    rows = [bytearray(b"\xff" * size) for _ in range(size)]
    x = y = 0.0
    for kind, text in re.findall(r"([Mmh])([-0-9. ]+)", found[2]):
        numbers = [float(number) for number in text.split()]
        if kind == "h":
            rows[int(y)][int(x) : int(x + numbers[0])] = bytes(int(numbers[0]))
            x += numbers[0]
        else:
            x, y = (x + numbers[0], y + numbers[1]) if kind == "m" else (numbers[0], numbers[1])
    wide = [bytes(byte for byte in row for _ in range(scale)) for row in rows for _ in range(scale)]
    image = memoryview(b"".join(wide)).cast("B", (size * scale, size * scale))
    (code,) = zxingcpp.read_barcodes(image)
    return str(code.text)


def test_a_store_in_trouble_is_a_page_that_says_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    link = stack.create(founding()).json

    def get_item(**_: Any) -> Any:
        raise UnavailableError

    monkeypatch.setattr(aws.dynamodb(), "get_item", get_item)
    answer = page(link)
    assert (answer.status, view(answer), answer.headers["Retry-After"]) == (503, "away", "2")
    monkeypatch.setattr(aws.dynamodb(), "get_item", lambda **_: 1 / 0)
    answer = page(link)
    assert (answer.status, view(answer)) == (500, "away")
    assert link["claimCode"] not in output.text


def test_the_log_names_the_link_and_never_its_code(stack: Stack, output: Output) -> None:
    link = stack.create(founding()).json
    page(link)
    assert output.lines[-1].items() >= {"view": "consent", "linkId": link["linkId"], "status": 200}.items()
    page({"linkId": link["claimCode"], "claimCode": ""})
    assert link["claimCode"] not in output.text


def test_the_deployers_legal_pages_stand_at_the_consent_and_in_the_footer(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = stack.create(founding()).json
    assert 'class="legal"' not in page(link).text
    for name, word in (("privacy_url", "Privacy"), ("terms_url", "Terms")):
        url = f"https://www.example.com/{name}?a=1&lang=en#top"
        set_page(monkeypatch, **{name.upper(): url})
        anchor = f'<a href="{url.replace("&", "&amp;")}">{word}</a>'
        assert page(link).text.count(anchor) == 2
        assert page(link, code="").text.count(anchor) == 2


def tile(html: str) -> str:
    """What stands in the provider's tile before its initial."""
    found = re.search('id="provider">(.*?)<span>', html)
    assert found
    return found[1]


def test_a_providers_logo_is_shown_to_whoever_has_the_code(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = stack.create(founding()).json
    assert tile(page(link).text) == ""
    logo = '<svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="7"/></svg>'
    provider = catalogue.providers()["tmobile"]._replace(logo=logo)
    monkeypatch.setattr(app, "providers", lambda: {"tmobile": provider})
    assert tile(page(link).text) == logo
    assert tile(page(link, code="").text) == ""
    stack.claim(link["claimCode"])  # where its session goes on, the link is opened again
    assert tile(page(link).text) == logo


def test_a_link_that_has_outlived_its_integration_still_has_its_page(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = stack.create(founding()).json
    stack.cancel(link["linkId"])
    monkeypatch.setattr(app, "providers", dict)
    answer = page(link)
    assert (answer.status, view(answer)) == (200, "canceled")


def association(name: str) -> Any:
    event = sample_event("link_page") | {"routeKey": f"GET /.well-known/{name}", "pathParameters": None}
    answer = invoke(event)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return json.loads(answer.text)


def test_the_association_files_are_valid_and_empty_until_configured(
    stack: Stack,  # noqa: ARG001 # its environment
) -> None:
    apple: dict[str, Any] = {"applinks": {"details": []}, "appclips": {"apps": []}}
    assert association("apple-app-site-association") == apple
    assert association("assetlinks.json") == []


def test_the_association_files_name_the_apps_that_take_links_over(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = ":".join(["AB"] * 32)
    set_page(
        monkeypatch,
        APP_STORE_ID="123456789",
        APPLE_APP_IDS="ABCDE12345.com.example.app",
        APPLE_CLIP_IDS="ABCDE12345.com.example.app.Clip",
        ANDROID_PACKAGE="com.example.app",
        ANDROID_FINGERPRINTS=f"{fingerprint},{fingerprint}",
    )
    assert association("apple-app-site-association") == {
        "applinks": {
            "details": [{"appIDs": ["ABCDE12345.com.example.app"], "components": [{"/": "/link_*"}]}]
        },
        "appclips": {"apps": ["ABCDE12345.com.example.app.Clip"]},
    }
    assert association("assetlinks.json") == [
        {
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": "com.example.app",
                "sha256_cert_fingerprints": [fingerprint, fingerprint],
            },
        }
    ]
    banner = {
        "name": "apple-itunes-app",
        "content": "app-id=123456789, app-clip-bundle-id=com.example.app.Clip, app-clip-display=card",
    }
    assert ("meta", banner) in Document(page(stack.create(founding()).json).text).elements


@pytest.mark.parametrize(
    ("base_url", "pattern"),
    [
        ("https://go.example.com", "/link_*"),
        ("https://go.example.com:8443/app", "/app/link_*"),
        ("https://go.example.com/a/b", "/a/b/link_*"),
    ],
)
def test_an_app_takes_over_the_links_under_the_path_that_they_begin_with(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, base_url: str, pattern: str
) -> None:
    monkeypatch.setenv("LINK_BASE_URL", base_url)
    stack.forget_settings()
    set_page(monkeypatch, APPLE_APP_IDS="ABCDE12345.com.example.app")
    (details,) = association("apple-app-site-association")["applinks"]["details"]
    assert details["components"] == [{"/": pattern}]


# --- The address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "code={}",
        "code={}.",
        "code={})",
        "code={}%29%2E",
        "code={}?utm_source=mail",
        "code={}%3Futm_source%3Dmail",
        "utm_source=mail&code={}",
        "code={}&code={}",
        "code={}%E2%80%AC",
        "code=&code={}",
        "code=clm_0000000000000000000000&code={}",
    ],
)
def test_a_code_is_read_as_far_as_it_is_one(stack: Stack, query: str) -> None:
    link = stack.create(founding()).json
    answer = page(link, query=query.replace("{}", link["claimCode"]))
    assert view(answer) == "consent"
    assert f'data-code="{link["claimCode"]}"' in answer.text


@pytest.mark.parametrize(
    "query", ["", "code=", "code={}", "code=clm_0000000000000000000000", "code=%", "code=%FF"]
)
def test_a_code_that_is_cut_off_or_anothers_is_none(stack: Stack, query: str) -> None:
    link = stack.create(founding()).json
    answer = page(link, query=query.replace("{}", link["claimCode"][:-1]))
    assert view(answer) == "incomplete"
    assert 'data-code=""' in answer.text


def test_a_page_that_cannot_read_its_link_still_knows_its_code(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = stack.create(founding()).json

    def fail(_: str) -> None:
        raise UnavailableError

    monkeypatch.setattr(store, "get_link", fail)
    answer = page(link)
    assert (answer.status, view(answer)) == (503, "away")
    assert f'data-code="{link["claimCode"]}"' in answer.text


def test_the_way_back_tells_how_it_ended(stack: Stack) -> None:
    link = stack.create(founding(returnUrl="https://your-app.com/a?b#c")).json
    back = f"https://your-app.com/a?b&amp;linkId={link['linkId']}"
    assert f'href="{back}#c"' in page(link).text
    stack.cancel(link["linkId"])
    assert f'href="{back}&amp;status=canceled#c"' in page(link).text


@pytest.mark.parametrize("live", [True, False])
def test_a_test_link_says_so_on_every_view(stack: Stack, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:eu-central-1:1:function:mine")
    stack.forget_settings()
    link = stack.create(founding(), key=stack.new_key(livemode=live)).json
    for answer in (page(link), page(link, code="")):
        assert ('class="badge"' in answer.text) is not live


# --- Languages -----------------------------------------------------------------------------------

TEXTS = app._TEXTS


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}", text))


@pytest.mark.parametrize("language", app.LANGUAGES[1:])
@pytest.mark.parametrize("part", ["page", "script", "reasons"])
def test_each_language_says_all_of_it(language: str, part: str) -> None:
    first, other = TEXTS[app.LANGUAGES[0]][part], TEXTS[language][part]
    assert first.keys() == other.keys()
    for name, text in first.items():
        assert other[name].strip()
        assert placeholders(other[name]) == placeholders(text), name
        assert other[name] != text


def test_only_reasons_that_connectors_may_give_have_a_sentence() -> None:
    assert TEXTS["en"]["reasons"].keys() <= {word for words in REASONS.values() for word in words}


def test_each_text_is_used_and_each_that_is_used_is_there() -> None:
    here = Path(app.__file__).parent
    html, python = ((here / name).read_text("utf-8") for name in ("page.html", "app.py"))
    script = (here / "page.js").read_text("utf-8")
    used = set(re.findall(r"\{\{=(\w+)\}\}", html)) | set(re.findall(r"""say\[["'](\w+)["']\]""", python))
    used |= {"privacy", "terms"}  # by the settings of these names
    assert used == TEXTS["en"]["page"].keys()
    for name in TEXTS["en"]["script"]:
        assert re.search(rf'"{name}"', script) or name in (
            "pending",
            "running",
            "succeeded",
            "skipped",
            "failed",
        )


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("es", "es"),
        ("ES-mx,en;q=0.5", "es"),
        ("en,es;q=0.9", "en"),
        ("de, es;q=0.1", "es"),
        ("es;q=0.2, en;q=0.3", "en"),
        ("es;q=0", "en"),
        ("es;q=nonsense", "en"),
        ("*", "en"),
        (",;,=;q=,es;;", "en"),
    ],
)
def test_the_browsers_language_is_the_pages(stack: Stack, header: str | None, language: str) -> None:
    link = stack.create(founding()).json
    answer = page(link, headers={} if header is None else {"accept-language": header})
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert f'<html lang="{language}">' in answer.text
    assert TEXTS[language]["page"]["decline"] in answer.text
    assert ("Leer tus métodos de pago guardados" in answer.text.split("</main>")[0]) is (language == "es")
