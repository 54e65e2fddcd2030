"""A web shop that reads a shopper's payment methods at T-Mobile: button, link in a dialog, webhook, result.

    export LATCHKEY_BASE_URL=http://127.0.0.1:4600 LATCHKEY_API_KEY=lk_test_...    # as `make up` prints them
    PYTHONPATH=clients/python .venv/bin/python examples/webshop/shop.py            # http://127.0.0.1:4700

What it knows is in memory; a shop of yours has a database, and shoppers who are logged in.
"""

import os
import secrets
from html import escape

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from latchkey_client import Latchkey, WebhookVerificationError, webhooks
from latchkey_client.models import EventData

URL = os.environ.get("SHOP_URL", "http://127.0.0.1:4700")
SERVICE = os.environ["LATCHKEY_BASE_URL"].rstrip("/")
latchkey = Latchkey()
SECRETS = [valid.secret for valid in latchkey.webhook_secret.get().secrets]
shoppers: dict[str, str] = {}  # of each link, the shopper for whom it was made
ended: dict[str, EventData] = {}  # of each link, what the webhook said of its end


# The link is shown over this page, on a phone in its place. Without the script the form leads there as well.
FRONT = f"""<form method=post action=/connect><button>Connect T-Mobile</button></form><p role=status></p>
<script src="{SERVICE}/latchkey.js"></script>
<script type=module>
  const done = ({{ linkId }}) => location.assign(`/done?linkId=${{linkId}}`);
  const exit = (end) => {{
    if (end.status === "failed") done(end);
    else document.querySelector("p").textContent = `Not connected: ${{end.status}}`;
  }};
  if (globalThis.Latchkey) document.querySelector("form").onsubmit = (event) => {{
    event.preventDefault();
    const url = fetch("/connect", {{ method: "POST" }}).then((answer) => answer.text());
    Latchkey.open({{ url, title: "Connect T-Mobile", onComplete: done, onExit: exit }});
  }};
</script>"""


def front(_: Request) -> Response:
    return page("Shop", FRONT)


def connect(request: Request) -> Response:
    """Make a link, and say where it is: to the script, or to a form by leading there."""
    shopper = request.cookies.get("shopper") or secrets.token_urlsafe()
    link = latchkey.links.create(
        integration_id="tmobile",
        operations=[{"resource": "paymentMethod", "action": "read"}],
        return_url=f"{URL}/done",
        webhook_url=f"{URL}/webhook",
        embed_origins=[URL],
    )
    shoppers[link.link_id] = shopper
    by_form = "text/html" in request.headers["accept"]
    sent = RedirectResponse(link.app_clip_url, 303) if by_form else PlainTextResponse(link.app_clip_url)
    sent.set_cookie("shopper", shopper, httponly=True, samesite="lax")
    return sent


async def webhook(request: Request) -> Response:
    try:
        event = webhooks.unwrap(await request.body(), request.headers, SECRETS)
    except WebhookVerificationError:
        return Response(status_code=400)
    ended[event.data.link_id] = event.data  # the same again if it comes again
    return Response(status_code=204)


def done(request: Request) -> Response:
    """The way back. Anybody may write its query, so what is shown is what the webhook said."""
    link_id = request.query_params.get("linkId", "")
    if link_id not in shoppers or shoppers[link_id] != request.cookies.get("shopper"):
        return page("This is not yours", status=404)
    if (data := ended.get(link_id)) is None:
        return page("One moment", "<meta http-equiv=refresh content=1>")
    if data.result is None:
        return page("Not connected", escape(data.error.code if data.error else data.status))
    methods = data.result["paymentMethods"]
    return page("Your payment methods", "".join(f"<li>{escape(method['last4'])}" for method in methods))


def page(heading: str, rest: str = "", status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><title>Shop</title><h1>{heading}</h1>{rest}", status)


routes = [
    Route("/", front),
    Route("/connect", connect, methods=["POST"]),
    Route("/webhook", webhook, methods=["POST"]),
    Route("/done", done),
]
app = Starlette(routes=routes)

if __name__ == "__main__":
    uvicorn.run(app, port=int(URL.rpartition(":")[2]))
