"""The shipped balanced sliders, gates and all, act in stock vLLM on the real model as the hooks do.

Runs where vLLM is installed: docs/vllm.md says how to make such an environment.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from steering import ContrastSet, Slider, Sliders, load
from tests.helpers.paths import ROOT

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed here; docs/vllm.md says how to run these tests", allow_module_level=True)

VECTORS = ROOT / "vectors" / "smollm2-135m-instruct"
AXES = ("safety", "helpfulness")
SETTINGS = [{}, {"safety": 1.0}, {"helpfulness": 1.0}, {"safety": 0.6, "helpfulness": 0.8}]
STEPS = 16


@pytest.mark.real
def test_requests_with_mixed_settings_write_what_the_hooks_write(tmp_path: Path) -> None:
    from vllm import LLM, SamplingParams

    lm = load("smollm2-135m-instruct", dtype="float32")
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    pairs = ContrastSet.builtin("safety").spread(8)
    asked = [lm.tokenize(chat).ids for pair in pairs for chat in (pair.positive, pair.negative)]
    settings = [SETTINGS[row % 4] for row in range(len(asked))]
    files = {axis: str(VECTORS / f"{axis}.safetensors") for axis in AXES}

    bare, expected = [], []
    with Sliders(**{axis: Slider.load(file, lm) for axis, file in files.items()}).attach(lm) as dial:
        for tokens, setting in zip(asked, settings, strict=True):
            ids = torch.tensor([tokens])
            for values, answers in (({}, bare), (setting, expected)):
                dial.set(**(dict.fromkeys(AXES, 0.0) | values))
                written = lm.model.generate(
                    ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False
                )
                answers.append(written[0, len(tokens) :].tolist())
    assert sum(one != other for one, other in zip(bare, expected, strict=True)) >= 4

    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    llm = LLM(
        model=str(tmp_path),
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        enable_prefix_caching=True,
        additional_config={"trimtab": {"vectors": files}},
    )
    params = [
        SamplingParams(temperature=0, max_tokens=STEPS, extra_args={"steering": setting} if setting else None)
        for setting in settings
    ]
    found = llm.generate([{"prompt_token_ids": tokens} for tokens in asked], params, use_tqdm=False)
    assert [list(request.outputs[0].token_ids) for request in found] == expected
