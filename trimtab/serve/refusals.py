"""Refusals: every error as its HTTP status and one sentence in OpenAI's error object."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trimtab.serve.http import status_and_sentence
from trimtab.serve.worker import QueueFullError, ShutDownError

KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(HTTPException):
    """A refusal with a status of its own, and OpenAI's code for it where there is one."""

    def __init__(
        self, status: int, sentence: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, sentence, headers)
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        """What OpenAI's clients raise as an `APIError`."""
        kind = KINDS.get(self.status_code, "invalid_request_error" if self.status_code < 500 else "server_error")
        return {"error": {"message": self.detail, "type": kind, "param": None, "code": self.code}}


def refusal(error: Exception) -> ApiError:
    """What the client is told; of mistakes that aren't its own, only their kind."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, QueueFullError):
        return ApiError(429, str(error), "queue_full", {"Retry-After": "1"})
    if isinstance(error, ShutDownError):
        return ApiError(503, str(error), "shutting_down", {"Retry-After": "5"})
    status, sentence = status_and_sentence(error)
    hint = "; see docs/serving.md for what there is." if status in (404, 405) else ""
    return ApiError(status, f"{sentence}{hint}")


async def refuse(_: Request, error: Exception) -> Response:
    """The exception handler of the application."""
    found = refusal(error)
    return JSONResponse(found.body, found.status_code, found.headers)
