"""What per-request sliders cost in vLLM: tokens a second with and without steering, in pairs.

    python benchmarks/vllm_throughput.py --model FOLDER --vectors '{"safety": "safety.safetensors"}'

Three kinds of the same batch, one after the other in every round: `bare`, vLLM without Trimtab's blocks; `idle`, an
engine with sliders whose requests leave them alone; `steered`, every request with a setting of its own. The figures are
medians over the rounds of each round's own ratio to `bare`, so that a machine that others use too disturbs them less.
"""

import json
import statistics
import time
from typing import Annotated, Any

import torch
import typer

KV_CACHE_BYTES = 1 << 30
"""Of each engine: by itself each would take what memory is left, and there are two of them."""


def measure(llm: Any, prompts: list[list[int]], axes: list[str], tokens: int) -> float:
    """Generated tokens a second; requests steered where axes are given, each a little differently."""
    from vllm import SamplingParams

    llm.reset_prefix_cache()
    params = [
        SamplingParams(
            temperature=0,
            max_tokens=tokens,
            ignore_eos=True,
            extra_args={"steering": dict.fromkeys(axes, 0.5 + row / len(prompts))} if axes else None,
        )
        for row in range(len(prompts))
    ]
    start = time.perf_counter()
    llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
    return len(prompts) * tokens / (time.perf_counter() - start)


def main(
    model: Annotated[str, typer.Option(help="Folder or Hub id of the model.")],
    vectors: Annotated[str, typer.Option(help="Axes and their files, as JSON.")],
    requests: Annotated[int, typer.Option()] = 16,
    tokens: Annotated[int, typer.Option(help="New tokens a request.")] = 64,
    rounds: Annotated[int, typer.Option()] = 7,
    dtype: Annotated[str, typer.Option()] = "float32",
    eager: Annotated[bool, typer.Option()] = True,
) -> None:
    """Print the figures as Markdown."""
    from vllm import LLM

    files = json.loads(vectors)
    options: list[dict[str, Any]] = [{}, {"trimtab": {"vectors": files}}]
    bare, steered = (
        LLM(
            model=model,
            dtype=dtype,
            enforce_eager=eager,
            max_model_len=512,
            max_num_seqs=requests,
            kv_cache_memory_bytes=KV_CACHE_BYTES,
            additional_config=option,
        )
        for option in options
    )
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(100, 20_000, (48,), generator=generator).tolist() for _ in range(requests)]
    kinds = {"bare": (bare, []), "idle": (steered, []), "steered": (steered, list(files))}
    for llm, axes in kinds.values():
        measure(llm, prompts, axes, 8)  # what the first pass sets up is not counted
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        order = list(kinds) if number % 2 == 0 else list(kinds)[::-1]
        for kind in order:
            found[kind].append(measure(kinds[kind][0], prompts, kinds[kind][1], tokens))
    print("| requests | tokens a second | ratio to bare |\n|---|---|---|")
    for kind, speeds in found.items():
        ratios = [speed / base for speed, base in zip(speeds, found["bare"], strict=True)]
        print(f"| {kind} | {statistics.median(speeds):.1f} | {statistics.median(ratios):.3f} |")


if __name__ == "__main__":
    typer.run(main)
