"""A tokenizer's chat template: which one, the arguments that it takes, and the date that it may write."""

import inspect
import json
import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from steering.errors import SteeringError, quoted

FIXED_DATE = "2024-07-26"
"""Today, for templates that ask, so that prompts are the same tomorrow; the date that Llama 3's template falls back on.
"""
_TODAY = "strftime_now"
_DIRECTIVES = "aAbBdHIjmMpSyY"
"""Letters of strftime's that are written; `%-d` is `%d` without its zero."""
_TAKEN = {"messages", *inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters} - {
    "tools",
    "documents",
}


def tokenizer_of(given: PreTrainedTokenizerBase | ProcessorMixin) -> PreTrainedTokenizerBase:
    """The tokenizer, or the one inside a multimodal model's processor, with the processor's template if it has none.

    Raises SteeringError for a processor without a tokenizer, and for anything else.
    """
    tokenizer = getattr(given, "tokenizer", given)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise SteeringError(
            f"Expected a tokenizer, or a processor that has one, found {type(given).__name__!r}; "
            "load it with AutoTokenizer.from_pretrained."
        )
    if not tokenizer.chat_template and (template := getattr(given, "chat_template", None)):
        tokenizer = deepcopy(tokenizer)  # the caller's stays as it is
        tokenizer.chat_template = template
    return tokenizer


def template_source(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The Jinja template that chats are rendered with, `default` of several by name; None where there is none.

    Raises SteeringError for several without a default.
    """
    template = tokenizer.chat_template
    if not isinstance(template, dict):
        return template or None
    if "default" not in template:
        raise SteeringError(
            f"Expected a chat template 'default', found those named {quoted(sorted(template))}; "
            "pass the one to use as chat_template."
        )
    return str(template["default"])


def template_arguments(source: str | None, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """All that a template is rendered with: what is given, and a fixed date for one that asks for today's.

    Raises SteeringError for arguments that the template never reads, and for values that aren't JSON.
    """
    if taken := sorted(_TAKEN & set(given)):
        raise SteeringError(f"Expected arguments of the chat template's own, found {quoted(taken)}; leave them out.")
    unread = [name for name in given if source is None or not re.search(rf"\b{re.escape(name)}\b", source)]
    if unread:
        what = "There is no chat template, and so nothing reads" if source is None else "The chat template never reads"
        raise SteeringError(f"{what} the template argument {quoted(unread)}; check the name, or leave it out.")
    try:
        json.dumps(dict(given))
    except (TypeError, ValueError) as error:
        raise SteeringError(f"Expected JSON values as template arguments, found {dict(given)!r}.") from error
    asks_for_date = source is not None and _TODAY in source
    arguments = ({_TODAY: FIXED_DATE} if asks_for_date else {}) | dict(given)
    if asks_for_date:
        _date(arguments[_TODAY])
    return arguments


def at_fixed_date(source: str, arguments: Mapping[str, JsonValue]) -> tuple[str, dict[str, Any]]:
    """The template and its arguments with `strftime_now` as a macro that writes the date given there.

    transformers takes no function as an argument.
    """
    others = {name: value for name, value in arguments.items() if name != _TODAY}
    if _TODAY not in arguments:
        return source, others
    values = {letter: _date(arguments[_TODAY]).strftime(f"%{letter}") for letter in _DIRECTIVES}
    filters = {f"%{letter}": value for letter, value in values.items()}
    filters |= {f"%-{letter}": value.lstrip("0") for letter, value in values.items()}
    written = "".join(f"|replace({directive!r}, {value!r})" for directive, value in filters.items())
    macro = f"{{% macro {_TODAY}(format) %}}{{{{ format{written} }}}}{{% endmacro %}}"
    return f"{macro}\n{source}", others  # Jinja takes the line break as the macro's


def _date(date: JsonValue) -> datetime:
    try:
        return datetime.fromisoformat(str(date))
    except ValueError as error:
        raise SteeringError(
            f"Expected a date such as {FIXED_DATE!r} as the template argument {_TODAY!r}, found {date!r}."
        ) from error
