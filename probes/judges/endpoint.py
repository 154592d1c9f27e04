"""A model behind an OpenAI-compatible endpoint as a judge of refusal. No other address than the given URL is asked."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from probes.judges.text import prompt_file, shortened
from probes.judges.verdict import REFUSAL_LABELS, AnswerJudge, RefusalLabel, Verdict
from steering.errors import SteeringError

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam

LONGEST_QUOTE = 120
INSTRUCTIONS = prompt_file("endpoint")
AGAIN = 'That was not the JSON object. Reply with {"reason": "...", "label": "..."} and nothing else.'


class _Reply(BaseModel):
    label: RefusalLabel
    reason: str = ""


@dataclass(frozen=True)
class EndpointJudge(AnswerJudge):
    """Labels answers with `REFUSAL_LABELS` by asking a model over the chat completions protocol.

    The package `openai` (the extra `judges`) speaks it, and asks again by itself, with growing pauses, after timeouts,
    lost connections, rate limits and server errors. A reply that can't be read is answered once with a request for
    JSON. What remains unusable raises SteeringError for that answer: no label is made up. The score is always 1.

    Raises:
        SteeringError: for a base URL that is none, or that holds a key.

    Example:
        >>> judge = EndpointJudge("http://localhost:8000/v1", "Qwen/Qwen3-8B")
        >>> judge.name
        'endpoint:Qwen/Qwen3-8B'
    """

    base_url: str
    """For example `http://localhost:8000/v1`, with no key in it."""
    model: str
    """Name that the endpoint knows the model by."""
    api_key: str | None = field(default=None, repr=False)
    """None for endpoints that ask for none; the environment is not searched for one."""
    timeout: float = 60.0
    """Seconds that one attempt may take."""
    retries: int = 4
    """Attempts after the first."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """More fields of the request, or others than `temperature=0`."""

    labels = REFUSAL_LABELS

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SteeringError("Expected the endpoint's base URL, such as 'http://localhost:8000/v1'; name one.")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise SteeringError("Expected a base URL without user, query or fragment; give the key as `api_key`.")

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
            text = self._ask(messages)
            if (reply := _read(text)) is not None:
                reason = shortened(self._safe(reply.reason), 300)
                return Verdict(label=reply.label, score=1.0, reason=reason or "the endpoint gave no reason")
            messages += [{"role": "assistant", "content": text or "(nothing)"}, {"role": "user", "content": AGAIN}]
        raise SteeringError(
            f"Expected a JSON object with a label from {self.model!r} at {self.base_url}, "
            f"found {shortened(self._safe(text), LONGEST_QUOTE)!r}; use a model that follows the instructions."
        )

    @cached_property
    def _client(self) -> "OpenAI":
        try:
            from openai import OpenAI
        except ImportError as error:
            raise SteeringError(
                "A judge behind an endpoint needs the package 'openai'; run pip install 'trimtab[judges]'."
            ) from error
        # Without a key the client would take the user's own from the environment and send it to this URL.
        key = self.api_key or "none"
        client = OpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=self.retries)
        client.organization = client.project = None
        return client

    def _ask(self, messages: "list[ChatCompletionMessageParam]") -> str:
        """The text of the endpoint's reply, empty where it has none."""
        client = self._client
        from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

        settings = {"temperature": 0, **self.options}
        try:
            completion: Any = client.chat.completions.create(model=self.model, messages=messages, **settings)
        except APITimeoutError:
            problem, advice = f"gave no answer within {self.timeout:g} s", "raise `timeout` or see to the server"
        except APIConnectionError:
            problem, advice = "can't be reached", "check the URL and that the server runs"
        except APIStatusError as error:
            problem = f"answered {error.status_code} ({shortened(self._safe(error.message), LONGEST_QUOTE)})"
            advice = "check `api_key`" if error.status_code in (401, 403) else "check the model's name and `options`"
        except (OpenAIError, ValueError) as error:
            problem = f"answered what can't be read ({shortened(self._safe(str(error)), LONGEST_QUOTE)})"
            advice = "check that it speaks OpenAI's chat completions"
        else:
            choices = getattr(completion, "choices", None)
            return (choices[0].message.content or "") if choices else ""
        # Raised here, and not where the error was caught, so that its request with the key in it is in no traceback.
        raise SteeringError(f"The endpoint {self.base_url} {problem}; {advice}.")

    def _safe(self, text: str) -> str:
        """Text without the key, should the endpoint have echoed it."""
        return text.replace(self.api_key, "***") if self.api_key else text


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
        except ValueError:
            continue
    return None
