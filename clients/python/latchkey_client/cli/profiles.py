"""Where the command finds its address and key: a profile in the user's config folder, for its owner alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latchkey_client.errors import LatchkeyError

ENVIRONMENT = "environment"  # the name of what the variables say
LOCAL_STACK = Path(".local/stack.json")  # what `make up` writes


@dataclass(frozen=True)
class Profile:
    """An address and a key. `stack` is the local stack's file that they are read from each time."""

    name: str
    url: str
    key: str = field(repr=False)
    stack: str | None = None

    @property
    def mode(self) -> str:
        """What the key is for."""
        return next((mode for mode in ("test", "live") if self.key.startswith(f"lk_{mode}_")), "unknown")


def path() -> Path:
    """The file of the profiles."""
    folder = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA") or Path.home() / ".config"
    return Path(folder) / "latchkey" / "profiles.json"


def chosen(name: str | None) -> Profile:
    """The named profile, else what the environment says, else the one that was logged in to last.

    Whoever never logged in has the local stack of this folder, if one runs. Raises LatchkeyError that says
    how to log in.
    """
    if name is None and os.environ.get("LATCHKEY_API_KEY"):
        return Profile(
            ENVIRONMENT, os.environ.get("LATCHKEY_BASE_URL", ""), os.environ["LATCHKEY_API_KEY"].strip()
        )
    saved = _read()
    name = name or saved["current"]
    if name is None and (stack := find_stack(Path.cwd())) is not None:
        return of_stack(stack)
    if name is None:
        raise LatchkeyError("You are not logged in: run `latchkey login`, or set LATCHKEY_API_KEY and "
                            "LATCHKEY_BASE_URL")  # fmt: skip
    if name not in saved["profiles"]:
        known = ", ".join(sorted(saved["profiles"])) or "none yet"
        raise LatchkeyError(
            f"There is no profile {name} (there is: {known}): run `latchkey login --profile {name}`"
        )
    kept = saved["profiles"][name]
    if "stack" in kept:
        return of_stack(Path(kept["stack"]), name)
    return Profile(name, kept["url"], kept["key"])


def of_stack(file: Path, name: str = "local") -> Profile:
    """The profile of a local stack, by the file that it keeps while it runs."""
    try:
        running = json.loads(file.read_text())
        return Profile(name, running["apiUrl"], running["testApiKey"], str(file))
    except FileNotFoundError:
        raise LatchkeyError(
            f"The local stack of {file.parent.parent} does not run: `make up` starts it"
        ) from None
    except (ValueError, KeyError):
        raise LatchkeyError(f"{file} is not what `make up` writes: run it again") from None


def find_stack(start: Path) -> Path | None:
    """The file of a local stack that runs, in this folder or one above it."""
    for folder in (start, *start.parents):
        if (folder / LOCAL_STACK).is_file():
            return folder / LOCAL_STACK
    return None


def save(profile: Profile) -> Path:
    """Keep the profile and make it the current one; readable by its owner alone from the first byte on."""
    saved, file = _read(), path()
    kept = {"stack": profile.stack} if profile.stack else {"url": profile.url, "key": profile.key}
    saved["profiles"][profile.name] = kept
    saved["current"] = profile.name
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            json.dump(saved, opened, indent=2)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    return file


def _read() -> dict[str, Any]:
    try:
        saved = json.loads(path().read_text())
        return {"current": saved["current"], "profiles": dict(saved["profiles"])}
    except FileNotFoundError:
        return {"current": None, "profiles": {}}
    except (ValueError, KeyError, TypeError):
        raise LatchkeyError(f"{path()} cannot be read: delete it and run `latchkey login`") from None
