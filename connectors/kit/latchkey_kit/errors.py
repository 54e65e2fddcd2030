"""How a call fails. The texts of these exceptions are logged, so nothing typed and no page goes into one."""

from typing import Literal, get_args

LoginReason = Literal[
    "bad_credentials", "account_locked", "password_expired", "terms_not_accepted", "mfa_unsupported",
    "captcha", "code_expired",
]  # fmt: skip
# What a provider says in place of doing what was asked: nothing was changed then.
Refusal = Literal[
    "card_declined", "card_not_supported", "duplicate", "not_found", "limit_reached", "not_offered"
]
ConnectionReason = Literal["provider_maintenance", "provider_unreachable", "blocked_by_provider"]
Reason = Literal[LoginReason, Refusal, "page_changed", ConnectionReason, "other"]

REFUSALS = frozenset(get_args(Refusal))
CODES: dict[str, str] = {
    **dict.fromkeys(get_args(LoginReason), "LOGIN_FAILED"),
    **dict.fromkeys([*get_args(Refusal), "page_changed"], "AUTOMATION_ERROR"),
    **dict.fromkeys(get_args(ConnectionReason), "CONNECTION_FAILED"),
}


class KitError(Exception):
    """Something that the kit refuses; the text says what to change."""


class Failed(Exception):  # noqa: N818 # it reads as what happened: raise Failed("card_declined")
    """Ends the link for a reason that the user and the caller are told in the product's own words.

    The reason decides the error's code: LOGIN_FAILED, AUTOMATION_ERROR or CONNECTION_FAILED. One that cannot
    be while logging in (`page_changed`) or while an operation runs (`account_locked`) is told as `other`.
    `detail` is for the log alone, in words of your code: never what was typed, never what a page says.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        if reason not in CODES and reason != "other":
            raise KitError(f"there is no reason {reason}: choose one of {', '.join(CODES)}, other")
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: str = reason


def judge(status: int) -> None:
    """Raise `Failed` for an HTTP status with which no page comes that is worth reading."""
    if status == 429:
        raise Failed("blocked_by_provider", "HTTP 429")
    if status >= 500:
        raise Failed("provider_maintenance" if status == 503 else "provider_unreachable", f"HTTP {status}")
