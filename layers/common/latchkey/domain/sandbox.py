"""The sandbox's users: what happens to a test link that one of them logs in to. Pure."""

from typing import NamedTuple

PASSWORD = "pass_good"  # noqa: S105 # everybody's, and no secret


class SandboxUser(NamedTuple):
    username: str
    description: str
    error_code: str | None = None  # of the link; None for one that completes
    reason: str | None = None


# Whoever is not one of these has mistyped the password, as user_bad always has.
USERS = (
    SandboxUser("user_good", "Completes, with the catalogue's examples"),
    SandboxUser("user_otp", "Is asked for a one-time code: 123456 completes, three wrong ones fail"),
    SandboxUser("user_bad", "Has the wrong password each time, three times", "LOGIN_FAILED"),
    SandboxUser("user_locked", "Is locked out at once", "LOGIN_FAILED"),
    *(
        SandboxUser(
            f"user_op{n}_fails",
            f"Operation {n}, counted from 1, fails; completes if there are fewer",
            "AUTOMATION_ERROR",
        )
        for n in range(1, 10)
    ),
    SandboxUser("user_bad_data", "The provider's data do not fit the schema", "RESULT_VALIDATION_ERROR"),
    SandboxUser("user_down", "The provider is down", "CONNECTION_FAILED"),
    SandboxUser("user_slow", "Completes, after 3 seconds for each operation"),
    SandboxUser(
        "user_crash",
        "The connector dies in the first operation, each time; OUTCOME_UNKNOWN if that is a write",
        "CONNECTION_FAILED",
    ),
    SandboxUser("user_wait", "Waits 5 seconds for an approval elsewhere, then completes"),
    SandboxUser("user_choice", "Chooses where the code is sent, then as user_otp; may ask for another"),
    SandboxUser("user_step_up", "Is asked for a code, 123456, when the first write runs, then completes"),
    SandboxUser(
        "user_declined",
        "The first write fails; without one as user_good",
        "AUTOMATION_ERROR",
        "card_declined",
    ),
)
