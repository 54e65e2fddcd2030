"""Write a Latchkey connector: a provider's login as steps, its pages as operations."""

from latchkey_kit import ask
from latchkey_kit.connector import SECRET, Connector
from latchkey_kit.errors import Failed
from latchkey_kit.play import Play, standard_tests
from latchkey_kit.session import Json, Page, Session

__all__ = ["SECRET", "Connector", "Failed", "Json", "Page", "Play", "Session", "ask", "standard_tests"]
