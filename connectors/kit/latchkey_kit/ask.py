"""What a user can be asked. Raise or return one of these; the answer goes to the step `then`.

    ask.login(title)            what logs in: a user name, a password, an account number
    ask.otp(title)              a code that the user just got
    ask.choice(title, options)  one of these: what the step gets, and what the user reads. It has one field
    ask.wait(title)             to do something elsewhere, such as approving the login in an app. The step has
                                no fields, runs every `poll` seconds (2 to 30), and asks again until it is so
    ask.again(message)          the last question once more, with what was typed but for secrets, and whatever
                                of the following is said anew

title: the question in a sentence of at most 200 characters.
then: a function under @app.step, whose parameters are the question's fields. Without it the answer goes to
the step that is named as the question: `login`, `otp`, `choice` or `wait`.
message: what was wrong with the last answer, or any news. expires: the seconds that the user is told to have.
values: what to fill in beforehand, by field; never a secret.
actions: up to five other things that the user may want, `{"Send a new code": resend}`: steps without fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Step = Callable[..., Any]


@dataclass(eq=False)
class Question(Exception):  # noqa: N818 # not an error: the way out of a step, wherever it is raised
    """A challenge that is not yet worded."""

    kind: str
    title: str
    then: str
    options: Mapping[str, str]
    more: dict[str, Any]


@dataclass(frozen=True)
class _Ask:
    kind: str

    def __call__(
        self,
        title: str,
        options: Mapping[str, str] = {},  # nobody changes it
        *,
        then: Step | None = None,
        message: str | None = None,
        values: Mapping[str, str] | None = None,
        actions: Mapping[str, Step] | None = None,
        expires: int | None = None,
        poll: int = 3,
    ) -> Question:
        offered = [{"id": step.__name__, "title": words} for words, step in (actions or {}).items()]
        more = {"message": message, "values": values, "actions": offered or None, "expiresInSeconds": expires}
        more |= {"pollSeconds": poll if self.kind == "wait" else None}
        more = {name: value for name, value in more.items() if value is not None}
        return Question(self.kind, title, then.__name__ if then else self.kind, options, more)


login, otp, choice, wait, again = map(_Ask, ("login", "otp", "choice", "wait", "again"))
