"""What Discord refuses with: status, JSON error code and message. It knows no requests.

[D] https://docs.discord.com/developers/topics/opcodes-and-status-codes (JSON error codes).
"""

from typing import Any

_CODES = {
    0: (401, "401: Unauthorized"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    50083: (400, "Thread is archived"),
    50240: (
        400,
        "You cannot remove this app's Entry Point command in a bulk update operation. Please include the Entry Point "
        "command in your update request or delete it separately.",
    ),
    160002: (400, "Cannot reply without permission to read message history"),
}


class Refused(Exception):
    """A request that Discord answers with an error.

    Args:
        code: the JSON error code; status and message follow from it.
        field: of a 50035 the field that is wrong, such as "content" or "components.0".
        reason: of a 50035 what is wrong with the field.
        status: another status than the usual one of the code.
        message: other words than the usual ones.
    """

    def __init__(
        self, code: int, *, field: str = "", reason: str = "", status: int | None = None, message: str | None = None
    ) -> None:
        usual, words = _CODES.get(code, (400, "Refused by the test"))
        self.message = message or words
        super().__init__(f"{code} {self.message} {field} {reason}")
        self.code = code
        self.status = status or usual
        self.field = field
        self.reason = reason

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that the client gets."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.field:
            errors: dict[str, Any] = {"_errors": [{"code": "BASE_TYPE_BAD", "message": self.reason}]}
            for name in reversed(self.field.split(".")):
                errors = {name: errors}
            body["errors"] = errors
        return body


def invalid(field: str, reason: str) -> Refused:
    """The 50035 for a field."""
    return Refused(50035, field=field, reason=reason)
