"""Makes the sync client of the async one, so that both have one shape: `make schemas`."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parent / "latchkey_client"
HEADER = '"""The sync client, made of `_async.py` by `make schemas`: change that one."""\n'
WORDS = [
    (r"\A\"\"\".*?\"\"\"\n", HEADER),
    (r"import asyncio\n", ""),
    (r"asyncio\.sleep", "time.sleep"),
    (r"\basync (def|for|with) ", r"\1 "),
    (r"\bawait ", ""),
    (r"Awaitable\[(AsyncPage\[M\])\]", r"\1"),
    (r", Awaitable\b", ""),
    (r"\bAsync([A-Z])", r"\1"),
    (r"__a(enter|exit|iter)__", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"API, asynchronous\.", "API."),
]


def sync(source: str) -> str:
    """The sync text of an async one."""
    for pattern, replacement in WORDS:
        source = re.sub(pattern, replacement, source)
    return source


if __name__ == "__main__":
    (PACKAGE / "_sync.py").write_text(sync((PACKAGE / "_async.py").read_text()))
