"""`make link`: one link's story from what was stored and logged."""

import json

import pytest

from latchkey.adapters import webhook_sender
from latchkey.domain.retry_schedule import Outcome
from local import story
from tests.integration.conftest import Output, Stack, founding


@pytest.mark.parametrize("debug", [True, False])
def test_a_story_has_every_step_and_delivery_and_nothing_secret(
    stack: Stack,
    output: Output,
    monkeypatch: pytest.MonkeyPatch,
    debug: bool,
) -> None:
    outcomes = iter([Outcome(duration_ms=7, error="connect"), Outcome(duration_ms=8, status_code=204)])
    monkeypatch.setattr(webhook_sender, "send", lambda *_, **__: next(outcomes))
    canary = {"note": "canary-metadata"}
    link_id, token = stack.run("user_good", founding(debug=debug, metadata=canary))
    stack.create(founding())  # another one's lines
    stack.deliver()
    stack.now += 60_000
    stack.deliver()
    events = [{"timestamp": stack.now, "message": line} for line in output.text.splitlines()]
    events.insert(0, {"timestamp": 0, "message": "START RequestId: x"})
    link = stack.stored(link_id)
    moments = [*story.of_log(events, link_id), *story.of_store(link, stack.now)]
    told = [(source, what) for _, source, what, _ in moments]
    for what in ("link.created", "link.claimed", "link.complete"):
        assert ("store", what) in told
    assert told.count(("store", "delivery")) == told.count(("log", "attempted")) == 2
    assert told.count(("log", "operation.succeeded")) == 2
    assert (("store", "operation.succeeded") in told) is debug
    text = "\n".join(story.story(link, moments, stack.now))
    lines = text.splitlines()
    assert lines[0] == f"{link_id}, account acme"
    times = [line.partition(" ")[0] for line in lines if line.startswith("20")]
    assert times == sorted(times)
    assert len(times) == len(moments)
    for secret in (token, "pass_good", "4242424242424242", "canary-metadata", json.dumps(canary), "Jane Doe"):
        assert secret not in text


def test_a_link_that_is_gone_has_what_was_logged() -> None:
    line = {"level": "WARNING", "message": "overtaken", "linkId": "link_x"}
    moments = list(story.of_log([{"timestamp": 5, "message": json.dumps(line)}], "link_x"))
    first, second = story.story(None, moments, 6)
    assert "no such link" in first
    assert second == "1970-01-01T00:00:00.005Z  log    WARNING overtaken"
