"""OpenAI's objects, as far as its clients read them: completions, chunks, errors."""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trimtab.serve.answer import Ending
from trimtab.serve.http import status_and_sentence
from trimtab.serve.watch import Seen
from trimtab.serve.worker import QueueFullError, ShutDownError

LONGEST_SENTENCE = 450
ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


@dataclass(frozen=True)
class Reply:
    """What all objects of one answer have in common."""

    model: str
    steering: dict[str, float]
    """The sliders as they stood, defaults among them: a field of ours."""
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, text: str, reasoning: str, ending: Ending, completion_tokens: int) -> dict[str, Any]:
        """The whole answer, with the thought before it where there is one, as vLLM and DeepSeek send it."""
        message = {"role": "assistant", "content": text} | ({"reasoning_content": reasoning} if reasoning else {})
        choice = {"index": 0, "message": message, "logprobs": None} | _finish(ending)
        return self._object("chat.completion", [choice]) | {"usage": self._usage(completion_tokens)}

    def chunk(self, delta: dict[str, str], ending: Ending | None = None, seen: Seen | None = None) -> str:
        """A piece of the answer as a server-sent event, or what was read of its tokens."""
        choice = {"index": 0, "delta": delta, "logprobs": None} | _finish(ending)
        read = {} if seen is None else {"readings": seen.object}
        return event(self._object("chat.completion.chunk", [choice]) | read)

    def usage_chunk(self, completion_tokens: int) -> str:
        """The event after the last piece, for clients that asked for it."""
        return event(self._object("chat.completion.chunk", []) | {"usage": self._usage(completion_tokens)})

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        common = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return common | {"choices": choices, "steering": self.steering}

    def _usage(self, completion_tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }


def _finish(ending: Ending | None) -> dict[str, Any]:
    """Why an answer ended, with the rule that did it: a field of ours."""
    if ending is None:
        return {"finish_reason": None}
    fulfilled = {} if ending.fulfilled is None else {"stop_when": ending.fulfilled.object}
    return {"finish_reason": ending.reason} | fulfilled


def event(data: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


class ApiError(HTTPException):
    """A refusal with a status of its own, and OpenAI's code for it where there is one."""

    def __init__(
        self, status: int, sentence: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, _shortened(sentence), headers)
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        """What OpenAI's clients raise as an `APIError`."""
        default = "invalid_request_error" if self.status_code < 500 else "server_error"
        kind = ERROR_TYPES.get(self.status_code, default)
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


def _shortened(sentence: str) -> str:
    """Without the middle, where it quotes something long that the client has sent."""
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[:200]} … {sentence[-200:]}"


async def refuse(_: Request, error: Exception) -> Response:
    """The exception handler of the application."""
    found = refusal(error)
    return JSONResponse(found.body, found.status_code, found.headers)
