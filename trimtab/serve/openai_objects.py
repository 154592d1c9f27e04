"""OpenAI's objects, as far as its clients read them: completions and chunks."""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What all objects of one answer have in common."""

    model: str
    steering: dict[str, float]
    """The sliders as they stood, defaults among them: a field of ours."""
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, text: str, reason: str, completion_tokens: int) -> dict[str, Any]:
        """The whole answer."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion", [choice]) | {"usage": self._usage(completion_tokens)}

    def chunk(self, delta: dict[str, str], reason: str | None = None) -> str:
        """A piece of the answer as a server-sent event."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event(self._object("chat.completion.chunk", [choice]))

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


def event(data: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
