"""The command `latchkey`; needs the extra `cli`."""

import sys


def main() -> None:
    """Run the command line's command and exit with its code."""
    try:
        from latchkey_client.cli.commands import execute
    except ModuleNotFoundError as error:
        if error.name not in ("cyclopts", "rich"):
            raise
        sys.exit("The command needs more packages: pip install 'latchkey-client[cli]'")
    sys.exit(execute(sys.argv[1:]))
