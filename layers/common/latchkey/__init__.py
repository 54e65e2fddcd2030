"""Latchkey's shared layer.

Inside, pure and without AWS: domain. Around it: adapters, services, and the doors http and messages.
"""

__version__ = "0.1.0"  # as pyproject.toml and CHANGELOG.md have it
