"""The catalogue's files, what is made of them, and the published documents."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import jsonschema
import pytest

from latchkey.domain import catalogue, validation
from latchkey.domain.catalogue import Operation, providers
from latchkey.domain.errors import Issue
from schemas import answers, events, openapi, shapes
from schemas.__main__ import documents

SCHEMAS = Path(shapes.__file__).parent
PROVIDER_FILES = sorted(SCHEMAS.glob("providers/*.json"))
OPERATIONS = [
    pytest.param(operation, id=f"{provider.id}-{resource}-{action}")
    for provider in providers().values()
    for resource, actions in provider.resources.items()
    for action, operation in actions.items()
]


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


META = read(SCHEMAS / "provider.schema.json")
PROVIDER = jsonschema.Draft202012Validator(META)
RESOURCE = jsonschema.Draft202012Validator({"$defs": META["$defs"], "$ref": "#/$defs/resource"})


def test_the_catalogue_offers_what_is_promised() -> None:
    carrier = {"paymentMethod": {"read", "write"}, "mobileBillingStatement": {"read"}}
    promised = {
        "tmobile": ("T-Mobile", carrier),
        "att": ("AT&T", carrier),
        "verizon": ("Verizon", carrier),
        "ubereats": ("Uber Eats", {"orderHistory": {"read"}}),
    }
    offered = {
        provider.id: (provider.name, {name: set(actions) for name, actions in provider.resources.items()})
        for provider in providers().values()
    }
    assert {name: offered[name] for name in promised} == promised
    assert list(providers()) == sorted(providers())


def fields(schema: dict[str, Any]) -> str:
    """The fields of an object as one line: "a b? c{d} e[f]"; `?` marks an optional one."""

    def one(name: str, value: dict[str, Any]) -> str:
        inner = value.get("items", value)
        nested = f"{'[' if 'items' in value else '{'}{fields(inner)}" if "properties" in inner else ""
        return f"{name}{'' if name in schema.get('required', ()) else '?'}{nested}"

    if "oneOf" in schema:
        return " | ".join(map(fields, schema["oneOf"]))
    return " ".join(one(name, value) for name, value in schema["properties"].items())


ADDRESS = "billingAddress?{line1 line2? city state country?"
CARD = f"cardNumber expirationDate cvv nameOnCard billingZip {ADDRESS} dryRun?"
METHODS = (
    "paymentMethods[order vendorId last4 type isDefault brand? expirationDate? nickname? billingZip? "
    + ADDRESS
)
BILLING = "billing[statementId? periodStart periodEnd? dueDate? amountDue currency"
ORDERS = "orderCount orders[orderId placedAt merchant total currency items[name quantity price"


@pytest.mark.parametrize(
    ("provider_id", "resource", "action", "arguments", "result"),
    [
        ("att", "paymentMethod", "read", None, METHODS),
        ("att", "paymentMethod", "write", CARD, "success card{last4 | dryRun card{last4"),
        ("att", "mobileBillingStatement", "read", "limit?", BILLING),
        ("ubereats", "orderHistory", "read", "limit?", ORDERS),
    ],
)
def test_operations_have_exactly_the_promised_fields(
    provider_id: str, resource: str, action: str, arguments: str | None, result: str
) -> None:
    operation = providers()[provider_id].resources[resource][action]
    assert (operation.arguments and fields(operation.arguments)) == arguments
    assert fields(operation.result) == result


@pytest.mark.parametrize("path", PROVIDER_FILES, ids=lambda path: path.stem)
def test_a_provider_file_satisfies_the_meta_schema_as_written_and_as_read(path: Path) -> None:
    assert PROVIDER.is_valid(read(path))
    assert all(map(RESOURCE.is_valid, catalogue.read_schema(str(path))["resources"]))
    assert providers()[path.stem].id == path.stem


def result_of(provider: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = provider["resources"][0]["operations"]["read"]["result"]
    return result


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.update(extra=1),
        lambda p: p.update(id="Uber-Eats"),
        lambda p: p.update(resources=[]),
        lambda p: p.update(resources=[{"$ref": "https://example.com/resource.json"}]),
        lambda p: p["resources"][0].update(name="order_history"),
        lambda p: p["resources"][0]["operations"].update({"delete": p["resources"][0]["operations"]["read"]}),
        lambda p: p["resources"][0]["operations"]["read"].update(description="read your orders."),
        lambda p: p["resources"][0]["operations"]["read"].pop("arguments"),
        lambda p: result_of(p).pop("examples"),
        lambda p: result_of(p).update(examples=[]),
        lambda p: result_of(p).update(additionalProperties=True),
        lambda p: result_of(p).update(required="orders"),
        lambda p: result_of(p)["properties"]["orders"].pop("description"),
        lambda p: result_of(p)["properties"]["orders"]["items"].pop("additionalProperties"),
        lambda p: result_of(p)["properties"]["orders"]["items"]["properties"]["placedAt"].update(
            format="epoch"
        ),
    ],
)
def test_the_meta_schema_refuses_a_damaged_provider_file(damage: Callable[[dict[str, Any]], object]) -> None:
    provider = read(SCHEMAS / "providers/ubereats.json")
    damage(provider)
    assert not PROVIDER.is_valid(provider)


LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none">
<g transform="translate(1 2) rotate(-45.5)" fill="#E20074" stroke="currentColor" stroke-width="1.5">
<path d="M4 8h8l-3.5,2e1z" fill-rule="evenodd"/><circle cx="50%" cy="8" r="7" /></g></svg>"""


def with_logo(logo: str) -> dict[str, Any]:
    provider: dict[str, Any] = read(SCHEMAS / "providers/ubereats.json")
    return provider | {"logo": logo}


def is_logo(text: str) -> bool:
    """Whether a provider may have it: the meta-schema knows its parts, XML whether they fit together."""
    if not PROVIDER.is_valid(with_logo(text)):
        return False
    try:
        ElementTree.fromstring(text)  # noqa: S314 # the meta-schema lets no declaration through
    except ElementTree.ParseError:
        return False
    return True


def test_a_providers_logo_is_made_of_plain_shapes() -> None:
    assert is_logo(LOGO)
    assert is_logo('<svg viewBox="0 0 1 1"></svg>')
    for path in PROVIDER_FILES:
        assert is_logo(read(path).get("logo", LOGO)), path


@pytest.mark.parametrize(
    "inside",
    [
        *("<script>alert(1)</script>", "<SCRIPT/>", '<script href="//x.example"/>', "<svg:script/>"),
        *("<style>@import 'x.css'</style>", "<foreignObject/>", "<title>x</title>", "text"),
        *('<image href="https://x.example/a.png"/>', '<use href="#a"/>', '<use xlink:href="a.svg#b"/>'),
        *('<a href="javascript:alert(1)"><path/></a>', '<animate attributeName="d"/>', "<set/>", "<use/>"),
        *(
            '<path onload="alert(1)"/>',
            '<g onclick="alert(1)"/>',
            '<g\nonclick="alert(1)"/>',
            "<g/onclick=a>",
        ),
        *(
            '<g style="fill:url(//x.example)"/>',
            '<g style=""/>',
            '<g class="card"/>',
            '<g id="agree"/>',
            '<g xmlns="http://x"/>',
        ),
        *('<g fill="url(https://x.example#a)"/>', '<g fill="url(#a)"/>', '<g fill="URL(a.svg)"/>'),
        *(
            '<g transform="url(a)"/>',
            '<g transform="rotate(url(a))"/>',
            '<g fill="&#117;rl(a)"/>',
            "<g fill=red/>",
        ),
        *("<g fill='red'/>", "<!-- x -->", "<![CDATA[x]]>", "<?xml-stylesheet href='x'?>", "&amp;", "&x;"),
        *("</g>", "<g>", "<g></path></g>", '<g fill="red" fill="red"/>', "</svg><svg>", "</svg><script>"),
    ],
)
def test_a_logo_that_could_run_load_or_break_anything_is_refused(inside: str) -> None:
    assert not is_logo(f'<svg viewBox="0 0 1 1">{inside}</svg>')


@pytest.mark.parametrize(
    "logo",
    [
        *("", "logo.svg", "https://x.example/logo.svg", "data:image/svg+xml,%3Csvg/%3E", "<svg></svg>"),
        *('<svg viewBox="0 0 1 1"/>', '<img src="x">', LOGO.replace("<svg", '<svg onload="alert(1)"')),
        *(f"<!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>{LOGO}", f"<?xml version='1.0'?>{LOGO}"),
        *(f"{LOGO}<script></script>", f"<p>{LOGO}", LOGO.replace("<path", "<path " + "x" * 9000)),
        '<svg viewBox="0 0 1 1">' + '<path d="M0 0"/>' * 600 + "</svg>",
    ],
)
def test_what_is_not_one_small_svg_element_is_no_logo(logo: str) -> None:
    assert not is_logo(logo)


def test_a_logo_is_read_and_is_not_on_the_wire() -> None:
    provider = catalogue._provider(with_logo(LOGO))
    assert provider.logo == LOGO
    answers.Provider.model_validate(catalogue._on_the_wire(provider))  # and nothing more


def misfits(operation: Operation) -> list[Issue]:
    """What is wrong with the examples of an operation's schemas."""
    return [
        issue
        for schema in filter(None, (operation.arguments, operation.result))
        for example in schema["examples"]
        for issue in validation.schema_issues(validation.validator(schema), example)
    ]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_fits_its_schema(operation: Operation) -> None:
    assert misfits(operation) == []


def test_carriers_share_one_definition() -> None:
    for name in ("tmobile", "att", "verizon"):
        resources = read(SCHEMAS / f"providers/{name}.json")["resources"]
        assert all(list(resource) == ["$ref"] for resource in resources)
    tmobile, att = providers()["tmobile"].resources, providers()["att"].resources
    assert tmobile["paymentMethod"]["write"].arguments is att["paymentMethod"]["write"].arguments


def test_a_reference_may_be_annotated_where_it_stands() -> None:
    billing = providers()["att"].resources["mobileBillingStatement"]["read"].result["properties"]["billing"]
    start, end = (billing["items"]["properties"][name] for name in ("periodStart", "periodEnd"))
    assert start["title"] != end["title"]
    assert start["pattern"] == end["pattern"]


def test_countries_are_those_of_iso_3166() -> None:
    codes = read(SCHEMAS / "common/country.json")["enum"]
    assert len(set(codes)) == len(codes) == 249
    assert {"US", "GB", "DE", "CW", "SS", "AX", "TW", "PS"} <= set(codes)
    assert not {"UK", "EU", "XK", "AN", "SU", "YU", "ZZ"} & set(codes)


def test_the_documents_are_self_contained_and_as_published() -> None:
    document = catalogue.providers_document()
    listed = answers.ProviderList.model_validate_json(document.body).providers
    assert [provider.id for provider in listed] == list(providers())
    assert '"$ref"' not in document.body
    assert '"$schema"' not in document.body
    assert r"\d" not in document.body  # some engines take it for the digits of every script
    for provider in json.loads(document.body)["providers"]:
        alone = catalogue.provider_document(provider["id"])
        assert alone is not None
        assert json.loads(alone.body) == provider


def test_each_document_has_a_strong_tag_of_its_own() -> None:
    documents = [catalogue.providers_document(), *map(catalogue.provider_document, providers())]
    tags = {document.etag for document in documents if document}
    assert len(tags) == 1 + len(providers())
    assert all(re.fullmatch(r'"[!#-~]+"', tag) for tag in tags)


def test_an_unknown_integration_has_no_document() -> None:
    assert catalogue.provider_document("nope") is None


def test_the_integration_of_the_docs_is_one(tmp_path: Path) -> None:
    page = (SCHEMAS.parent / "docs/connect-a-provider.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert PROVIDER.is_valid(json.loads(text))
    shutil.copytree(SCHEMAS / "common", tmp_path / "common")
    path = tmp_path / "providers/documented.json"
    path.parent.mkdir()
    path.write_text(text)
    provider = catalogue._provider(catalogue.read_schema(str(path)))
    ((operation,),) = [list(actions.values()) for actions in provider.resources.values()]
    assert misfits(operation) == []


@pytest.fixture
def with_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A schemas folder with one more provider file."""
    shutil.copytree(SCHEMAS, tmp_path, dirs_exist_ok=True)
    another = read(SCHEMAS / "providers/att.json") | {"id": "another", "name": "Another"}
    (tmp_path / "providers/another.json").write_text(json.dumps(another))
    caches = (catalogue.providers, catalogue.providers_document, validation._arguments_validator)
    monkeypatch.setattr(catalogue, "SCHEMAS", str(tmp_path))
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("with_another")
def test_a_new_integration_is_a_new_file() -> None:
    assert list(providers()) == sorted({"another", *(path.stem for path in PROVIDER_FILES)})
    assert '"Another"' in catalogue.providers_document().body
    body = {"integrationId": "another", "operations": [{"resource": "paymentMethod", "action": "write"}]}
    rules = validation.Rules(60, frozenset({443}), False, False, frozenset())
    assert {issue.path for issue in validation.create_link_issues(body, rules)} >= {
        "operations.0.arguments.cvv"
    }


def test_the_committed_files_are_those_of_the_models() -> None:
    """If this fails: `make schemas`. An integration that openapi.json does not know yet is no failure."""
    known = read(SCHEMAS / "openapi.json")["info"]["x-integrations"]
    for name, text in documents(known).items():
        assert (SCHEMAS / name).read_text(encoding="utf-8") == text, name
    by_hand = {"provider.schema.json"}
    assert {path.name for path in SCHEMAS.glob("*.json")} == documents(known).keys() | by_hand


def test_the_openapi_document_holds_together() -> None:
    document = openapi.document()

    def walk(value: Any) -> Iterator[tuple[str, Any]]:
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield str(name), item
            if isinstance(item, dict | list):
                yield from walk(item)

    for name, target in walk(document):
        if name == "$ref":
            part = document
            for step in target.removeprefix("#/").split("/"):
                part = part[step]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("model", answers.EXAMPLES, ids=lambda model: model.__name__)
def test_models_accept_their_example_and_nothing_more(model: type[shapes.Model]) -> None:
    example = answers.EXAMPLES[model]
    model.model_validate_json(json.dumps(example))
    for name in example:
        if name not in ("returnUrl", "issues"):
            with pytest.raises(ValueError, match=name):
                model.model_validate({key: value for key, value in example.items() if key != name})
    with pytest.raises(ValueError, match="extra"):
        model.model_validate(example | {"extra": 1})


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (answers.CreatedLink, {"returnUrl": None}),
        (answers.CreatedLink, {"createdAt": "1704067200000"}),
        (answers.CreatedLink, {"operations": [{"resource": "a", "action": "read", "arguments": {}}]}),
        (answers.Link, {"timeline": []}),
        (answers.Link, {"debug": True}),
        (answers.ApiError, {"code": "unauthorized"}),
        (answers.ApiError, {"issues": []}),
    ],
)
def test_models_refuse_a_damaged_answer(model: type[shapes.Model], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        model.model_validate(copy.deepcopy(answers.EXAMPLES[model]) | change)


def published() -> tuple[dict[str, Any], dict[str, Any]]:
    document = openapi.document()
    return document, document["components"]["schemas"]


def test_a_time_has_64_bits_for_every_client() -> None:
    _, schemas = published()
    times = [
        schema
        for model in schemas.values()
        for name, schema in model.get("properties", {}).items()
        if name.endswith("At") or name == "at"
    ]
    assert len(times) > 10
    for schema in times:
        (number,) = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
        assert (number["type"], number["format"]) == ("integer", "int64")


def test_answers_are_open_and_requests_are_closed_and_need_nothing_that_has_a_default() -> None:
    document, schemas = published()
    for name, schema in schemas.items():
        if "properties" in schema and not name.endswith(("Arguments", "Result")):
            request = name.endswith("Request") or name == "RequestedOperation"
            assert schema["additionalProperties"] is not request, name
        if "enum" in schema:
            assert "may be added" in schema["description"], name
    assert '"default": ' not in json.dumps([schemas[name] for name in schemas if name.endswith("Request")])
    assert schemas["RequestedOperation"]["properties"]["arguments"]["additionalProperties"] is True
    assert schemas["SessionInputRequest"]["properties"]["input"]["additionalProperties"] is True
    for operation in (o for methods in document["paths"].values() for o in methods.values()):
        assert {"operationId", "summary", "description", "tags"} <= operation.keys()
        for status in ("404", "413", "429", "500", "503"):
            if answer := operation["responses"].get(status):
                shared = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
                assert shared["content"]["application/json"]["schema"]["$ref"].endswith("/AnyError")


def test_nothing_is_named_by_a_sentence_or_a_number() -> None:
    _, schemas = published()
    titles = [part["title"] for part in objects(schemas) if isinstance(part.get("title"), str)]
    # The catalogue's are named after its ids, which may hold digits.
    own = (name for name in (*schemas, *titles) if not name.endswith(("Arguments", "Result")))
    for name in own:
        assert name.isalpha()
        assert name != "Error"


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(part)


def test_each_published_example_fits_its_schema_by_an_independent_judge() -> None:
    document, schemas = published()
    found = [(name, example) for name, schema in schemas.items() for example in schema.get("examples", ())]
    bodies = [webhook["post"]["requestBody"] for webhook in document["webhooks"].values()]
    found += [("Event", body["content"]["application/json"]["example"]) for body in bodies]
    assert len(found) > 10
    for name, example in found:
        judged = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(judged).validate(example)


def test_each_type_of_event_has_an_example_that_is_one() -> None:
    examples = openapi.event_examples()
    assert set(examples) == set(get_args(shapes.EventType.__value__))
    for kind, example in examples.items():
        assert events.Event.model_validate_json(json.dumps(example)).type == kind
