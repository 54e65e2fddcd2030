"""Write a Latchkey connector: a provider's login as steps, its pages as operations."""

from latchkey_kit import ask
from latchkey_kit.ask import Question
from latchkey_kit.connector import SECRET, Connector
from latchkey_kit.errors import Failed, KitError
from latchkey_kit.play import Play, standard_tests
from latchkey_kit.session import Session

__all__ = [
    "SECRET",
    "Connector",
    "Failed",
    "KitError",
    "Play",
    "Question",
    "Session",
    "ask",
    "standard_tests",
]
