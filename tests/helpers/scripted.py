"""A tiny model that writes a given text, whatever it is asked."""

from typing import Any

from steering import LanguageModel
from steering.data.chats import ChatLike


def writing(lm: LanguageModel, prompt: ChatLike, text: str) -> LanguageModel:
    """The model, whose `generate` writes the text and then the end token behind that prompt from now on."""
    tokens = [*lm.tokenizer(text, add_special_tokens=False).input_ids, lm.tokenizer.eos_token_id]
    prompt_length = len(lm.tokenize(prompt).ids)

    def plant(_model: object, _args: object, inputs: dict[str, Any], output: Any) -> Any:
        if "position_ids" not in inputs:  # a plain pass
            return output
        for logits, last in zip(output.logits, inputs["position_ids"][:, -1].tolist(), strict=True):
            step = min(max(last + 1 - prompt_length, 0), len(tokens) - 1)
            logits[-1, tokens[step]] = 99.0
        return output

    lm.model.register_forward_hook(plant, with_kwargs=True)
    return lm
