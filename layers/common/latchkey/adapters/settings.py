"""The environment, read once."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """An environment variable is missing or has no valid value; the text names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the template's parameters and resources say."""

    links_table: str
    secrets_table: str
    key_use_table: str
    sealing_key: str  # ARN
    link_base_url: str  # "" means the address at which the API was called
    max_expires_in: int  # seconds
    retention_days: int
    session_seconds: int
    live_connectors: Mapping[str, str]  # integration to function ARN
    sandbox_connector: str  # "" where no session is run
    session_queue: str  # URL
    webhook_queue: str  # URL
    key_rate: int  # requests a second; 0 for no limit
    key_burst: int
    webhook_ports: frozenset[int]
    allow_loopback_webhooks: bool


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the link's page and the apps that may take it over are told; "" and () for what is not set."""

    brand_name: str
    brand_logo_url: str
    accent_color: str  # "#rrggbb"
    support_address: str  # a mail address or an https page
    privacy_url: str
    terms_url: str
    app_store_id: str
    apple_app_ids: tuple[str, ...]  # with their team's prefix
    apple_clip_ids: tuple[str, ...]
    android_package: str
    android_fingerprints: tuple[str, ...]  # SHA-256 of its signing certificates


def _read(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise SettingsError(f"environment variable {name} is not set") from None


def _integer(name: str, text: str) -> int:
    if not text.isdecimal():
        raise SettingsError(f"environment variable {name} must be a whole number")
    return int(text)


@functools.cache
def settings() -> Settings:
    """The settings of this environment; raises SettingsError, naming the variable."""
    return Settings(
        links_table=_read("LINKS_TABLE"),
        secrets_table=_read("SECRETS_TABLE"),
        key_use_table=_read("KEY_USE_TABLE"),
        sealing_key=_read("SEALING_KEY"),
        link_base_url=_read("LINK_BASE_URL"),
        max_expires_in=_integer("MAX_EXPIRES_IN", _read("MAX_EXPIRES_IN")),
        retention_days=_integer("RETENTION_DAYS", _read("RETENTION_DAYS")),
        session_seconds=_integer("SESSION_SECONDS", _read("SESSION_SECONDS")),
        live_connectors={
            pair.partition("=")[0]: pair.partition("=")[2]
            for pair in _read("LIVE_CONNECTORS").split(",")
            if pair
        },
        sandbox_connector=os.environ.get("SANDBOX_CONNECTOR", ""),
        session_queue=_read("SESSION_QUEUE"),
        webhook_queue=_read("WEBHOOK_QUEUE"),
        key_rate=_integer("KEY_RATE", _read("KEY_RATE")),
        key_burst=_integer("KEY_BURST", _read("KEY_BURST")),
        webhook_ports=frozenset(
            _integer("WEBHOOK_PORTS", port.strip()) for port in _read("WEBHOOK_PORTS").split(",")
        ),
        allow_loopback_webhooks=_read("ALLOW_LOOPBACK_WEBHOOKS") == "true",
    )


def _list(name: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in _read(name).split(",") if item.strip())


@functools.cache
def page_settings() -> PageSettings:
    """The settings of the link's page; raises SettingsError, naming the variable."""
    return PageSettings(
        brand_name=_read("BRAND_NAME"),
        brand_logo_url=_read("BRAND_LOGO_URL"),
        accent_color=_read("ACCENT_COLOR"),
        support_address=_read("SUPPORT_ADDRESS"),
        privacy_url=_read("PRIVACY_URL"),
        terms_url=_read("TERMS_URL"),
        app_store_id=_read("APP_STORE_ID"),
        apple_app_ids=_list("APPLE_APP_IDS"),
        apple_clip_ids=_list("APPLE_CLIP_IDS"),
        android_package=_read("ANDROID_PACKAGE"),
        android_fingerprints=_list("ANDROID_FINGERPRINTS"),
    )
