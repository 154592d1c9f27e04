"""The marks around a model's thoughts, as far as a prompt that ends inside one has to be closed."""

_MARKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}


def opening_of(prompt: str) -> str:
    """The mark of the thought that a prompt's text ends in; empty where it ends in none."""
    return next((mark for mark in _MARKS if prompt.rstrip().endswith(mark)), "")


def closing_of(prompt: str) -> str:
    """What closes that thought, nothing thought."""
    closing = _MARKS.get(opening_of(prompt), "")
    return f"\n{closing}\n\n" if closing and prompt.endswith("\n") else closing


def brings_thought(answer: str) -> bool:
    """Whether a given answer has a thought of its own: it begins with one, or ends one that the prompt opened."""
    begins = answer.lstrip().startswith(tuple(_MARKS))
    return begins or any(closing in answer for closing in _MARKS.values())
