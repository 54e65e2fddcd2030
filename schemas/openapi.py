"""The OpenAPI document: all routes, with the models' shapes and the catalogue's."""

import json
import re
from collections.abc import Collection
from typing import Any

from latchkey.domain import examples
from latchkey.domain.catalogue import providers
from latchkey.domain.scopes import SCOPE_OF
from schemas.answers import ANSWERS, EXAMPLES
from schemas.events import Event, EventList
from schemas.requests import BODIES, ListEventsQuery, ListLinksQuery
from schemas.shapes import json_schemas

COMPONENTS = "#/components/schemas"


def document(integrations: Collection[str] | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes, with the schemas of these integrations, or of all."""
    integrations = sorted(providers() if integrations is None else integrations)
    schemas = json_schemas((*ANSWERS, Event, EventList), COMPONENTS)
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = True  # a member that is added breaks no client
        elif "enum" in schema:
            schema["description"] = "Others may be added: a client reads those that it does not know, too."
    for model, example in EXAMPLES.items():
        schemas[model.__name__]["examples"] = [example]
    requests = json_schemas((*BODIES, ListLinksQuery, ListEventsQuery), COMPONENTS)
    of_links, of_events = (_query(requests.pop(f"List{what}Query")) for what in ("Links", "Events"))
    schemas |= {name: _published(schema) for name, schema in requests.items() if name not in schemas}
    catalogue = _catalogue(integrations)
    # What the catalogue has today. It binds nobody, because an integration that is added has others.
    for holder, member, part in (
        ("RequestedOperation", "arguments", "Arguments"),
        ("Link", "result", "Result"),
    ):
        known = [_schema(name) for name in catalogue if name.endswith(part)]
        schemas[holder]["properties"][member]["contentSchema"] = {"anyOf": known}
    schemas |= catalogue
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Latchkey",
            "version": "1",
            "description": "Connects a user's account at another company and works with it for the user.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "Whoever deployed it"},
            "x-integrations": integrations,  # that it knows: one may be added without writing it anew
        },
        "servers": [
            {
                "url": "{address}",
                "description": "A deployment of your own",
                "variables": {
                    "address": {
                        "default": "https://latchkey.example.net",
                        "description": "What the deployment printed as its ApiUrl",
                    }
                },
            }
        ],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "webhooks": _webhooks(),
        "security": [{"apiKey": []}],
        "paths": {
            "/v1/links": {
                "get": {
                    "operationId": "listLinks",
                    "summary": "List links, newest first",
                    "parameters": of_links,
                    "responses": {"200": _answer("A page", "LinkList", "Cache-Control"), **_errors(400, 401)},
                },
                "post": {
                    "operationId": "createLink",
                    "summary": "Create a link",
                    "parameters": [_component("parameters", "Idempotency-Key")],
                    "requestBody": {"required": True, "content": _json("CreateLinkRequest")},
                    "responses": {
                        "201": _answer("The link", "CreatedLink", "Cache-Control", "Idempotent-Replayed"),
                        **_errors(400, 401, 410, 413, 415, 422),
                    },
                },
            },
            "/v1/links/{linkId}": {
                "get": {
                    "operationId": "getLink",
                    "summary": "Read a link",
                    "parameters": [_path_parameter("linkId")],
                    "responses": {"200": _answer("The link", "Link", "Cache-Control"), **_errors(401, 404)},
                },
                "delete": {
                    "operationId": "eraseLink",
                    "summary": "Erase a link",
                    "parameters": [_path_parameter("linkId")],
                    "responses": {
                        "200": _answer("What is left", "Link", "Cache-Control"),
                        **_errors(401, 404),
                    },
                },
            },
            "/v1/erasures": {
                "post": {
                    "operationId": "eraseUser",
                    "summary": "Erase the links of a user",
                    "requestBody": {"required": True, "content": _json("ErasureRequest")},
                    "responses": {
                        "200": _answer("How many", "Erased", "Cache-Control"),
                        **_errors(400, 401, 413, 415),
                    },
                }
            },
            "/v1/links/{linkId}/cancel": {
                "post": {
                    "operationId": "cancelLink",
                    "summary": "Cancel a link that has not ended",
                    "parameters": [_path_parameter("linkId")],
                    "responses": {
                        "200": _answer("The link", "Link", "Cache-Control"),
                        **_errors(401, 404, 409),
                    },
                }
            },
            "/v1/links/{linkId}/deliveries": {
                "get": {
                    "operationId": "listDeliveries",
                    "summary": "List the attempts to deliver a link's event",
                    "parameters": [_path_parameter("linkId")],
                    "responses": {
                        "200": _answer("The attempts", "DeliveryList", "Cache-Control"),
                        **_errors(401, 404),
                    },
                }
            },
            "/v1/links/{linkId}/redeliver": {
                "post": {
                    "operationId": "redeliver",
                    "summary": "Send a link's event again: the same id and the same bytes",
                    "parameters": [_path_parameter("linkId")],
                    "responses": {
                        "202": _answer("It is about to be sent", "Redelivery", "Cache-Control"),
                        **_errors(401, 404, 409, 410),
                    },
                }
            },
            "/v1/events": {
                "get": {
                    "operationId": "listEvents",
                    "summary": "List the events of links that ended",
                    "parameters": of_events,
                    "responses": {
                        "200": _answer("A page", "EventList", "Cache-Control"),
                        **_errors(400, 401),
                    },
                }
            },
            "/v1/webhook-tests": {
                "post": {
                    "operationId": "testWebhook",
                    "summary": "Send an example event, signed as a real one",
                    "requestBody": {"required": True, "content": _json("WebhookTestRequest")},
                    "responses": {
                        "200": _answer("How that went", "WebhookTest", "Cache-Control"),
                        **_errors(400, 401, 413, 415),
                    },
                }
            },
            "/v1/test/links/{linkId}/advance": {
                "post": {
                    "operationId": "advanceLink",
                    "summary": "Turn a test link's clock forward",
                    "parameters": [_path_parameter("linkId")],
                    "requestBody": {"required": True, "content": _json("AdvanceRequest")},
                    "responses": {
                        "200": _answer("The link", "Link", "Cache-Control"),
                        **_errors(400, 401, 404, 409, 413, 415),
                    },
                }
            },
            "/v1/test/links/{linkId}/simulate": {
                "post": {
                    "operationId": "simulateEnd",
                    "summary": "End a test link",
                    "parameters": [_path_parameter("linkId")],
                    "requestBody": {"required": True, "content": _json("SimulateRequest")},
                    "responses": {
                        "200": _answer("The link", "Link", "Cache-Control"),
                        **_errors(400, 401, 404, 409, 413, 415),
                    },
                }
            },
            "/v1/test/links/{linkId}/fail-deliveries": {
                "post": {
                    "operationId": "failDeliveries",
                    "summary": "Let a test link's next deliveries fail",
                    "parameters": [_path_parameter("linkId")],
                    "requestBody": {"required": True, "content": _json("FailDeliveriesRequest")},
                    "responses": {
                        "200": _answer("The link", "Link", "Cache-Control"),
                        **_errors(400, 401, 404, 409, 413, 415),
                    },
                }
            },
            "/v1/test/outcomes": {
                "get": {
                    "operationId": "listOutcomes",
                    "summary": "List the sandbox's users, and how the link of each ends",
                    "responses": {
                        "200": _answer("The users", "SandboxUserList", "Cache-Control"),
                        **_errors(401, 404),
                    },
                }
            },
            "/v1/account": {
                "get": {
                    "operationId": "readAccount",
                    "summary": "Read what this key is, and what its account has set",
                    "responses": {
                        "200": _answer("The account", "Account", "Cache-Control"),
                        **_errors(401),
                    },
                }
            },
            "/v1/webhook-secret": {
                "get": {
                    "operationId": "readWebhookSecrets",
                    "summary": "Read the secrets that webhooks are signed with",
                    "responses": {
                        "200": _answer("The secrets", "WebhookSecrets", "Cache-Control"),
                        **_errors(401),
                    },
                }
            },
            "/v1/webhook-secret/rotate": {
                "post": {
                    "operationId": "rotateWebhookSecret",
                    "summary": "Make a new secret to sign webhooks with",
                    "parameters": [_component("parameters", "Idempotency-Key")],
                    "requestBody": {"required": True, "content": _json("RotateSecretRequest")},
                    "responses": {
                        "200": _answer("The new secret", "NewSecret", "Cache-Control", "Idempotent-Replayed"),
                        **_errors(400, 401, 413, 415, 422),
                    },
                }
            },
            "/link/claim": {
                "post": {
                    "operationId": "claimLink",
                    "summary": "Begin the one session of the link that a claim code opens",
                    "security": [],
                    "parameters": [
                        _idempotency_key(
                            "Makes it safe to repeat a claim whose answer was lost: the same key gets the "
                            "same session again. Make it random: with the code, it opens the session.",
                            least=16,
                        )
                    ],
                    "requestBody": {"required": True, "content": _json("ClaimRequest")},
                    "responses": {
                        "200": _answer("The session", "ClaimedLink", "Cache-Control", "Idempotent-Replayed"),
                        **_errors(400, 404, 409, 410, 413, 415),
                    },
                }
            },
            "/link/status": {
                "post": {
                    "operationId": "readStatus",
                    "summary": "Read how the link of a claim code stands; pages of any origin may",
                    "security": [],
                    "requestBody": {"required": True, "content": _json("ClaimRequest")},
                    "responses": {
                        "200": _answer(
                            "How it stands", "LinkStanding", "Cache-Control", "Access-Control-Allow-Origin"
                        ),
                        **_errors(400, 404, 413, 415),
                    },
                }
            },
            "/link/session": {
                "get": {
                    "operationId": "readSession",
                    "summary": "Read how the session stands",
                    "security": [{"clientToken": []}],
                    "responses": {"200": _answer("The session", "Session", "Cache-Control"), **_errors(401)},
                }
            },
            "/link/session/input": {
                "post": {
                    "operationId": "answerChallenge",
                    "summary": "Answer the open challenge",
                    "security": [{"clientToken": []}],
                    "requestBody": {"required": True, "content": _json("SessionInputRequest")},
                    "responses": {
                        "202": _answer("The session", "Session", "Cache-Control"),
                        **_errors(400, 401, 409, 413, 415),
                    },
                }
            },
            "/link/session/cancel": {
                "post": {
                    "operationId": "cancelSession",
                    "summary": "End the session because the user wants so",
                    "security": [{"clientToken": []}],
                    "responses": {
                        "200": _answer("The session", "Session", "Cache-Control"),
                        **_errors(401, 409),
                    },
                }
            },
            "/v1/providers": {
                "get": {
                    "operationId": "listProviders",
                    "summary": "List the integrations and what can be done at each",
                    "parameters": [_component("parameters", "If-None-Match")],
                    "responses": {**_cacheable("The catalogue", "ProviderList"), **_errors(401)},
                }
            },
            "/v1/providers/{integrationId}": {
                "get": {
                    "operationId": "getProvider",
                    "summary": "Read what can be done at one integration",
                    "parameters": [
                        _path_parameter("integrationId"),
                        _component("parameters", "If-None-Match"),
                    ],
                    "responses": {**_cacheable("The integration", "Provider"), **_errors(401, 404)},
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "readApiDescription",
                    "summary": "Read this document",
                    "security": [],
                    "parameters": [_component("parameters", "If-None-Match")],
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1",
                            "headers": _headers("Cache-Control", "ETag"),
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        },
                        "304": {
                            "description": "Your copy is the current one",
                            "headers": _headers("Cache-Control", "ETag"),
                        },
                        **_errors(404),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "lk_test_... or lk_live_..."},
                "clientToken": {"type": "http", "scheme": "bearer", "description": "ct_..., from the claim"},
            },
            "parameters": {
                "Idempotency-Key": _idempotency_key(
                    "Makes it safe to repeat a request: the same key and body get the same answer again.",
                    least=1,
                ),
                "If-None-Match": _header_parameter(
                    "If-None-Match",
                    "The ETag of the copy you hold: 304 when it is still the current one.",
                    {"type": "string"},
                ),
            },
            "headers": {
                "X-Request-Id": _header("Names this request in logs and to support."),
                "X-Latchkey-Version": _header("The release that answers."),
                "Cache-Control": _header("no-store; of the catalogue: private, max-age=300."),
                "Access-Control-Allow-Origin": _header("*"),
                "ETag": _header("A strong entity tag."),
                "Idempotent-Replayed": _header(
                    "true when an earlier request with this key got this answer.", required=False
                ),
                "WWW-Authenticate": _header("Bearer"),
                "Latchkey-Key-Expires": _header(
                    "When the API key expires, in milliseconds; within 14 days of it.", required=False
                ),
                "RateLimit": _header(
                    '"key";r=REMAINING;t=SECONDS until all is back, when four fifths are used.',
                    required=False,
                ),
                "RateLimit-Policy": _header('"key";q=REQUESTS;w=1, beside RateLimit.', required=False),
            },
            "responses": {
                "400": _answer(
                    "The request does not fit; every issue is listed", "ApiError", "Cache-Control"
                ),
                "401": _answer(
                    "No valid API key or client token", "ApiError", "Cache-Control", "WWW-Authenticate"
                ),
                "403": _answer(
                    "The API key is restricted, and not to this", "ApiError", "Cache-Control", *_notices()
                ),
                "404": _perhaps_the_gateways("Unknown, or not this account's in this mode"),
                "409": _answer("It does not go with the present state", "ApiError", "Cache-Control"),
                "410": _answer("Erased, or expired or canceled before a claim", "ApiError", "Cache-Control"),
                "413": _perhaps_the_gateways("The body is over 256 KiB"),
                "415": _answer(
                    "The body is not sent as application/json, or is encoded", "ApiError", "Cache-Control"
                ),
                "422": _answer(
                    "The Idempotency-Key came with another body before", "ApiError", "Cache-Control"
                ),
                "429": _perhaps_the_gateways("Too many requests", "Retry-After", *_notices()),
                "500": _perhaps_the_gateways("A fault of ours"),
                "503": _perhaps_the_gateways(
                    "A store is throttled or out of reach; try again", "Retry-After"
                ),
                "Gateway": {"description": "Refused by the gateway", "content": _json("GatewayError")},
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            operation["tags"] = [_tag(path)]
            operation["description"] = DESCRIPTIONS[operation["operationId"]]
            if scope := SCOPE_OF.get(f"{method.upper()} {path}"):
                operation["description"] += f" A restricted key needs the scope {scope}."
                for response in operation["responses"].values():
                    if "headers" in response:
                        response["headers"] |= _notices()
                operation["responses"]["403"] = _component("responses", "403")
    return made


def _tag(path: str) -> str:
    if path == "/v1/account":
        return "Account"
    if path.startswith("/link/"):
        return "Client"
    if path in ("/v1/providers", "/v1/providers/{integrationId}", "/openapi.json"):
        return "Catalogue"
    if path.startswith("/v1/test/"):
        return "Test mode"
    return "Webhooks" if re.search("webhook|deliver|event", path) else "Links"


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": part} for name, part in schema["properties"].items()]


DESCRIPTIONS = {
    "listLinks": "Follow nextCursor to see every link once. Without results: read a link for its own.",
    "createLink": "Makes a record only: a session begins when the user opens appClipUrl and claims the link.",
    "getLink": "Its state, each operation's, its result or its error, and how its webhook stands.",
    "eraseLink": "Cancels it if it has not ended, without an event. Of its user nothing is left, for ever: "
    "no result, no event, no address, no metadata. What is left can be read until its record's time is over.",
    "eraseUser": "All of the key's mode, at most a hundred a call: call again until remaining is false.",
    "cancelLink": "A write that was running may have happened: then error is OUTCOME_UNKNOWN.",
    "listDeliveries": "Oldest first, those that were asked for included; the newest hundred.",
    "redeliver": "One more attempt beside the schedule, for 30 days after the link's end.",
    "readAccount": "The key's limits, scopes and expiry; where events of links without a webhookUrl go.",
    "readWebhookSecrets": "At most two are valid, newest first; both modes of an account share them.",
    "rotateWebhookSecret": "Both secrets sign until the overlap ends.",
    "listEvents": "Newest first; with `after`, those that ended since: oldest first, each once, however many "
    "end meanwhile. Then it may wait up to 10 seconds until those that are just ending stand in their order.",
    "testWebhook": "At once and once; at most one a second for each API key.",
    "advanceLink": "All that becomes due by then has happened in its order when the answer comes. A live key "
    "gets 404 here, and of all that is test mode.",
    "simulateEnd": "By the steps of a session: claimed, its results checked, its event sent.",
    "failDeliveries": "They count, and nothing is sent. A later plan replaces an earlier one.",
    "listOutcomes": "What to type at the login of a test link.",
    "claimLink": "Of many claims one wins. The answer's clientToken opens the session.",
    "readStatus": "Claims nothing. Answers until 24 hours after the link's end.",
    "readSession": "What is asked now, and how far the operations are. Never a result.",
    "answerChallenge": "By the schema of the challenge, or with one of its actions.",
    "cancelSession": "A write that was running may have happened: then error is OUTCOME_UNKNOWN.",
    "listProviders": "Each operation with the JSON Schema of its arguments and of its result.",
    "readApiDescription": "Of the release that answers.",
    "getProvider": "Each operation with the JSON Schema of its arguments and of its result.",
}


TAGS = {
    "Links": "What a caller makes and reads.",
    "Webhooks": "How the caller is told, and by which secrets.",
    "Catalogue": "What is on offer.",
    "Account": "Who asks, and what it may.",
    "Test mode": "What the owner of a test link may make happen.",
    "Client": "What the user's device does, with the claim code or the session's token.",
}


def _published(schema: Any) -> Any:
    """A request's schema for clients: titles, which would become names of classes, are descriptions.

    The descriptions that are there end the sentence of an issue. A default is told there too: as a keyword
    it would make the member one that clients have to send. Conditions are left to the service, which says
    what is wrong: no client is made of them.
    """
    if isinstance(schema, list):
        return [_published(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {
        name: {key: _published(value) for key, value in member.items()}
        if name == "properties"
        else _published(member)
        for name, member in schema.items()
        if name not in ("title", "default", "if", "then", "else")
    }
    if "title" in schema:
        made["description"] = f"{schema['title']}: {schema.get('description', '')}".removesuffix(": ")
        if "default" in schema:
            made["description"] += f"; {json.dumps(schema['default'])} if it is left out"
    return made


def _catalogue(integrations: Collection[str]) -> dict[str, Any]:
    """The arguments and results of the catalogue, each once: by resource and action, and where integrations
    differ, by integration."""
    found: dict[str, dict[str, Any]] = {}
    for provider in map(providers().__getitem__, integrations):
        for resource, actions in provider.resources.items():
            for action, operation in actions.items():
                for part in ("arguments", "result"):
                    if schema := getattr(operation, part):
                        name = f"{resource[0].upper()}{resource[1:]}{action.capitalize()}{part.capitalize()}"
                        found.setdefault(name, {})[provider.id] = schema
    named = {}
    for name, schemas in found.items():
        first, *others = schemas.values()
        if all(other == first for other in others):
            named[name] = first
        else:
            named |= {f"{provider.capitalize()}{name}": schema for provider, schema in schemas.items()}
    made = {name: _published(schema) for name, schema in named.items()}
    for name, schema in named.items():
        for place, choice in enumerate(schema.get("oneOf", ())):
            if re.fullmatch("[A-Za-z ]+", title := choice.get("title", "")):
                # Named too, because a generator that finds it by its place makes it twice.
                own = "".join(word.capitalize() for word in title.split()) + name
                made[own], made[name]["oneOf"][place] = made[name]["oneOf"][place], _schema(own)
    return made


def _webhooks() -> dict[str, Any]:
    """One for each type of event, with the body that a link of that end makes."""
    headers = {
        "webhook-id": "The event's id, the same in each attempt",
        "webhook-timestamp": "When this attempt began, in seconds",
        "webhook-signature": "v1,BASE64 over id.timestamp.body; two of them while two secrets are valid",
    }
    return {
        kind: {
            "post": {
                "operationId": "on" + kind.title().replace(".", ""),
                "summary": f"A link ended: {kind.partition('.')[2]}",
                "description": "Sent until it is answered with 2xx, ten times over 75 hours; 410 stops it.",
                "tags": ["Webhooks"],
                "security": [],
                "parameters": [
                    _header_parameter(name, text, {"type": "string"}) | {"required": True}
                    for name, text in headers.items()
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _schema("Event"), "example": example}},
                },
                "responses": {
                    "2XX": {"description": "It is yours now"},
                    "410": {"description": "No more attempts are wanted"},
                },
            }
        }
        for kind, example in event_examples().items()
    }


def event_examples() -> dict[str, Any]:
    """An event of each type, made as real ones are."""
    link_id, ended_at = "link_3Jb7sXyQm0KfT4ZpWn8VdC", 1704067260000
    return {
        kind: json.loads(examples.event(kind, link_id, ended_at, livemode=False))
        for kind in examples.EVENT_TYPES
    }


def _component(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(name: str) -> dict[str, str]:
    return _component("schemas", name)


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _schema(schema)}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: _component("headers", name) for name in ("X-Request-Id", "X-Latchkey-Version", *names)}


def _notices() -> dict[str, Any]:
    """What any answer to an API key may tell of that."""
    return {
        name: _component("headers", name)
        for name in ("Latchkey-Key-Expires", "RateLimit", "RateLimit-Policy")
    }


def _answer(description: str, schema: str, *headers: str) -> dict[str, Any]:
    return {"description": description, "headers": _headers(*headers), "content": _json(schema)}


def _perhaps_the_gateways(description: str, *headers: str) -> dict[str, Any]:
    """A failure that the gateway may have answered in place of a function, without the headers of one."""
    optional = {
        name: {"description": "From the service, not from the gateway", "schema": {"type": "string"}}
        for name in ("X-Request-Id", "Cache-Control", *headers)
    }
    return {"description": description, "headers": optional, "content": _json("AnyError")}


def _cacheable(description: str, schema: str) -> dict[str, Any]:
    return {
        "200": _answer(description, schema, "Cache-Control", "ETag"),
        "304": {"description": "Your copy is the current one", "headers": _headers("Cache-Control", "ETag")},
    }


def _errors(*statuses: int) -> dict[str, Any]:
    every_route = (429, 500, 503)
    return {
        **{str(status): _component("responses", str(status)) for status in (*statuses, *every_route)},
        "default": _component("responses", "Gateway"),
    }


def _header(description: str, *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string"}}


def _header_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _idempotency_key(description: str, *, least: int) -> dict[str, Any]:
    schema = {"type": "string", "minLength": least, "maxLength": 255, "pattern": "^[ -~]*$"}
    return _header_parameter("Idempotency-Key", description, schema)


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
