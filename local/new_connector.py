"""Writes the beginnings of a connector: `make connector NAME=voltly`."""

import argparse
import re
import sys
from pathlib import Path

from local.environments import ROOT

PROVIDER = """{
  "$schema": "../provider.schema.json",
  "id": "%(name)s",
  "name": "%(title)s",
  "resources": [{ "$ref": "../common/mobile_billing_statement.json" }]
}
"""

CONNECTOR = '''"""A connector to %(title)s."""

from latchkey_kit import Connector, Json, Session, ask

app = lambda_handler = Connector("https://%(name)s.example")

# In place of the provider's website until you read that, as the comments say.
SITE = {
    "jane": {"password": "jane-password-1", "bills": ["41.90", "40.20", "39.90"]},
    "otto": {"password": "otto-password-1", "bills": ["12.00"]},
}


@app.start
def start(_: Session) -> None:
    raise ask.login("Log in to %(title)s")


@app.step
def login(s: Session, username: str, password: str) -> None:
    account = SITE.get(username, {})  # page = s.form("/login", username=username, password=password)
    if account.get("password") != password:  # if page.url.path == "/login":
        raise ask.again("That user name and password do not match")
    s.state["user"] = username  # cookies are kept without this


@app.read("mobileBillingStatement")
def bills(s: Session, limit: int = 100) -> Json:
    # amounts = s.find(s.http.get("/bills"), '<table id="bills">', r"<td>([0-9.]+)</td>")
    amounts = SITE[s.state["user"]]["bills"]
    bill = {"currency": "USD"}
    rows = [bill | {"periodStart": f"2026-0{9 - n}-01", "amountDue": due} for n, due in enumerate(amounts)]
    return {"billing": rows[:limit]}
'''

INPUTS = """[
  [{ "username": "jane", "password": "jane-password-1" }],
  [{ "username": "otto", "password": "otto-password-1" }]
]
"""

TEST = '''"""The connector to %(title)s."""

import json
from pathlib import Path

from connectors.%(name)s import connector
from latchkey_kit import standard_tests

INPUTS = json.loads(Path(connector.__file__).with_name("inputs.json").read_text())

Test%(title)s = standard_tests(connector.app, *INPUTS, reads=["mobileBillingStatement"], writes={})
'''

FILES = {
    "schemas/providers/%(name)s.json": PROVIDER,
    "connectors/%(name)s/connector.py": CONNECTOR,
    "connectors/%(name)s/inputs.json": INPUTS,
    "tests/connectors/test_%(name)s.py": TEST,
}


def write(root: Path, name: str) -> list[Path]:
    """Write the files; returns them. Raises FileExistsError, and writes none, if one is there."""
    values = {"name": name, "title": name.capitalize()}
    files = {root / (path % values): text % values for path, text in FILES.items()}
    for file in files:
        if file.exists():
            raise FileExistsError(f"{file} is there already: choose another name, or remove it")
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return list(files)


def main() -> None:
    parser = argparse.ArgumentParser(prog="connector", description=__doc__)
    parser.add_argument("name", help="of the integration: 2 to 30 of a-z and 0-9, a letter first")
    name = parser.parse_args().name
    if not re.fullmatch("[a-z][a-z0-9]{1,29}", name):
        sys.exit(f"{name!r} is no name: give 2 to 30 of a-z and 0-9, a letter first")
    try:
        files = write(ROOT, name)
    except FileExistsError as error:
        sys.exit(str(error))
    for file in files:
        print(file.relative_to(ROOT))
    print(f"\n.venv/bin/python -m pytest tests/connectors/test_{name}.py")
    made = f"connectors/{name}"
    print(f"make conformance CONNECTOR={made}/connector.py INTEGRATION={name} INPUT={made}/inputs.json")


if __name__ == "__main__":
    main()
