"""A model behind an OpenAI-compatible endpoint. No other address than the given URL is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes.judges.text import shortened
from steering.errors import SteeringError
from steering.extras import pip_install

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam

LONGEST_QUOTE = 120


@dataclass(frozen=True)
class ChatEndpoint:
    """Speaks the chat completions protocol by the package `openai` (the extra `judges`).

    The package asks again by itself, with growing pauses, after timeouts, lost connections, rate limits and errors of
    the server.

    Raises:
        SteeringError: for a base URL that is none, or that holds a key.
    """

    base_url: str
    """For example `http://localhost:8000/v1`, with no key in it."""
    model: str
    """Name that the endpoint knows the model by."""
    api_key: str | None = field(default=None, repr=False, compare=False)
    """None for endpoints that ask for none; the environment is not searched for one."""
    timeout: float = field(default=60.0, compare=False)
    """Seconds that one attempt may take."""
    retries: int = field(default=4, compare=False)
    """Attempts after the first."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """More fields of the request, or others than `temperature=0`."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SteeringError("Expected the endpoint's base URL, such as 'http://localhost:8000/v1'; name one.")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise SteeringError("Expected a base URL without user, query or fragment; give the key as `api_key`.")

    @cached_property
    def _client(self) -> "OpenAI":
        try:
            from openai import OpenAI
        except ImportError as error:
            raise SteeringError(
                f"A judge behind an endpoint needs the package 'openai'; run: {pip_install('judges')}"
            ) from error
        # Without a key the client would take the user's own from the environment and send it to this URL.
        key = self.api_key or "none"
        client = OpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=self.retries)
        client.organization = client.project = None
        return client

    def ask(self, messages: "list[ChatCompletionMessageParam]") -> str:
        """The text of the endpoint's reply, empty where it has none.

        Args:
            messages: of the chat so far.

        Raises:
            SteeringError: when the endpoint can't be reached, or refuses the key or the request.
        """
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
            problem = f"answered {error.status_code} ({shortened(self.without_key(error.message), LONGEST_QUOTE)})"
            advice = "check `api_key`" if error.status_code in (401, 403) else "check the model's name and `options`"
        except (OpenAIError, ValueError) as error:
            problem = f"answered what can't be read ({shortened(self.without_key(str(error)), LONGEST_QUOTE)})"
            advice = "check that it speaks OpenAI's chat completions"
        else:
            choices = getattr(completion, "choices", None)
            return (choices[0].message.content or "") if choices else ""
        # Raised here, and not where the error was caught, so that its request with the key in it is in no traceback.
        raise SteeringError(f"The endpoint {self.base_url} {problem}; {advice}.")

    def without_key(self, text: str) -> str:
        """Text without the key, should the endpoint have echoed it.

        Args:
            text: of a reply.
        """
        return text.replace(self.api_key, "***") if self.api_key else text
