"""Functions' validator, an independent one, and the models agree about every shape on the wire."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from latchkey.domain.catalogue import SCHEMAS, providers, read_schema
from latchkey.domain.validation import schema_issues, validator
from schemas import answers, events
from schemas.__main__ import JUDGED, file_name
from tests.judge import judge, judge_of_file, judges_of, values

MANY = settings(max_examples=40, deadline=None)
# Most schemas of the catalogue are several integrations'.
CATALOGUE = {
    json.dumps(schema): pytest.param(schema, id=f"{provider.id}-{resource}-{action}-{part}")
    for provider in providers().values()
    for resource, actions in provider.resources.items()
    for action, operation in actions.items()
    for part, schema in (("arguments", operation.arguments), ("result", operation.result))
    if schema
}


def accepts(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("model", JUDGED, ids=lambda model: model.__name__)
@MANY
@given(data=st.data())
def test_functions_judge_what_they_are_sent_as_an_independent_judge_does(
    model: type[BaseModel], data: st.DataObject
) -> None:
    name = file_name(model)
    value = data.draw(values(json.loads(Path(SCHEMAS, name).read_bytes())))
    fits = schema_issues(validator(read_schema(f"{SCHEMAS}/{name}")), value) == []
    assert fits == judge_of_file(name)(value)
    assert fits or not accepts(model, value)


@pytest.mark.parametrize("schema", CATALOGUE.values())
@MANY
@given(data=st.data())
def test_functions_judge_arguments_and_results_as_an_independent_judge_does(
    schema: dict[str, Any], data: st.DataObject
) -> None:
    value = data.draw(values(schema))
    assert (schema_issues(validator(schema), value) == []) == judge(schema)(value)


@pytest.mark.parametrize(
    "model",
    [*answers.ANSWERS, events.Event, events.SessionMessage, events.DeliveryMessage],
    ids=lambda model: model.__name__,
)
@MANY
@given(data=st.data())
def test_what_is_answered_and_sent_is_judged_alike(model: type[BaseModel], data: st.DataObject) -> None:
    value = data.draw(values(model.model_json_schema()))
    independent, compiled = (fits(value) for fits in judges_of(model))
    assert independent == compiled
    assert independent or not accepts(model, value)
