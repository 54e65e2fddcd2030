"""A client that a generator makes of openapi.json can be used."""

from pathlib import Path

from tests.clients import run
from tests.e2e.deployed import Deployed


def test_a_generated_python_client_compiles_and_lives_a_links_life(
    deployed: Deployed, tmp_path: Path
) -> None:
    caller = deployed.new_caller("generated")
    link_id = run.python(caller.url, caller.key, tmp_path)
    assert caller.link(link_id)["status"] == "canceled"
