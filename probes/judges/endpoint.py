"""A model behind an endpoint as a judge of refusal, by instructions of this package."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from pydantic import BaseModel

from probes.judges.chat_endpoint import LONGEST_QUOTE, ChatEndpoint
from probes.judges.text import prompt_file, shortened
from probes.judges.verdict import REFUSAL_LABELS, AnswerJudge, RefusalLabel, Verdict
from steering.errors import SteeringError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

INSTRUCTIONS = prompt_file("endpoint")
AGAIN = 'That was not the JSON object. Reply with {"reason": "...", "label": "..."} and nothing else.'


class _Reply(BaseModel):
    label: RefusalLabel
    reason: str = ""


@dataclass(frozen=True)
class EndpointJudge(ChatEndpoint, AnswerJudge):
    """Labels answers with `REFUSAL_LABELS` by asking a model over the chat completions protocol.

    A reply that can't be read is answered once with a request for JSON. What remains unusable raises SteeringError for
    that answer: no label is made up. The score is always 1.

    Raises:
        SteeringError: for a base URL that is none, or that holds a key.

    Example:
        >>> judge = EndpointJudge("http://localhost:8000/v1", "Qwen/Qwen3-8B")
        >>> judge.name
        'endpoint:Qwen/Qwen3-8B'
    """

    labels = REFUSAL_LABELS

    @property
    def name(self) -> str:
        """`endpoint:` and the model's name."""
        return f"endpoint:{self.model}"

    def _judge(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer.

        Raises:
            SteeringError: when the endpoint can't be reached, refuses the key or the request, or gives no label.
        """
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": _as_data(prompt, answer)},
        ]
        text = ""
        for _ in range(2):
            text = self.ask(messages)
            if (reply := _read(text)) is not None:
                reason = shortened(self.without_key(reply.reason), 300)
                return Verdict(label=reply.label, score=1.0, reason=reason or "the endpoint gave no reason")
            messages += [{"role": "assistant", "content": text or "(nothing)"}, {"role": "user", "content": AGAIN}]
        raise SteeringError(
            f"Expected a JSON object with a label from {self.model!r} at {self.base_url}, "
            f"found {shortened(self.without_key(text), LONGEST_QUOTE)!r}; use a model that follows the instructions."
        )


def _as_data(prompt: str, answer: str) -> str:
    """Request and answer between marks that neither of them can have foreseen, and that are the same every time."""
    mark = sha256(f"{len(prompt)} {prompt}{answer}".encode("utf-8", "replace")).hexdigest()[:16]
    parts = [f"<{part} {mark}>\n{text}\n</{part} {mark}>" for part, text in (("request", prompt), ("answer", answer))]
    return "\n\n".join([*parts, f"Label what stands in <answer {mark}> with the JSON object."])


def _read(text: str) -> _Reply | None:
    """The last JSON object with one of the labels, wherever in the reply it stands."""
    decoder = json.JSONDecoder(strict=False)
    for start in reversed([match.start() for match in re.finditer(r"\{", text)]):
        try:
            return _Reply.model_validate(decoder.raw_decode(text, start)[0])
        except (ValueError, RecursionError):  # of no JSON, and of nesting without end
            continue
    return None
