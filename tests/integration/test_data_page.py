"""docs/data.md names all that is stored of a link, where, and what an erasure leaves of it."""

import re

from latchkey.adapters import store
from latchkey.domain.links import AFTERMATH_MS, Link
from tests.integration.conftest import Stack
from tests.integration.test_erasure import LEFT, canaried
from tests.template import ROOT, resources

PAGE = (ROOT / "docs/data.md").read_text()
PLACES, ITEM = (
    PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0] for title in ("Where it is", "A link's item")
)


def attributes(when_erased: str) -> set[str]:
    rows = re.findall(rf"^\| (`.*?`) \| .* \| {when_erased} \|$", ITEM, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_each_attribute_of_a_link_is_named_and_told_to_stay_or_to_go(stack: Stack) -> None:
    row = store._link_row(stack.stored(stack.create(canaried()).json["linkId"]))
    assert attributes("stays") == LEFT
    assert attributes("goes") == row.keys() - LEFT
    assert set(store._NAMES[Link].values()) <= row.keys()


def test_each_table_index_queue_and_log_is_named_with_its_time() -> None:
    tables, queues = resources("AWS::DynamoDB::Table"), resources("AWS::SQS::Queue")
    kinds = (tables, queues, resources("AWS::Logs::LogGroup"))
    named = {name for kind in kinds for name in kind}
    named |= {
        index["IndexName"] for table in tables.values() for index in table.get("GlobalSecondaryIndexes", ())
    }
    rows = [line.split(" | ") for line in PLACES.splitlines() if line.startswith("| ")]
    assert named <= {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    for row in rows:
        for queue in set(re.findall(r"`(\w+)`", row[0])) & queues.keys():
            days = queues[queue]["MessageRetentionPeriod"] // 86_400
            assert f"{days} days" in row[2]


def test_what_it_says_of_sweeps_second_look_is_so() -> None:
    assert (
        f"once more, {['', 'one', 'two', 'three', 'four', 'five', 'six'][AFTERMATH_MS // 60_000]} minutes"
        in PAGE
    )
