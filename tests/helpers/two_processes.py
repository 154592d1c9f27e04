"""What tests of several processes start under torchrun: `python two_processes.py {extract,tensor-parallel} FOLDER`."""

import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM

from steering import LanguageModel, Sliders, extract
from steering.activations import recording
from steering.activations.distributed import Ranks
from steering.activations.recording import stream_pairs
from steering.directions import DIRECTIONS
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import random_vector, tiny_lm, tiny_tokenizer


def extract_all(folder: Path, ranks: Ranks) -> None:
    """Every method's vector, and how many chats this process ran itself."""
    recording.TOKENS_PER_BATCH = 128
    lm, chats = tiny_lm(), 0

    def count(_model: object, _args: object, kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal chats
        chats += len(kwargs["attention_mask"]) if "attention_mask" in kwargs else 0

    lm.model.register_forward_pre_hook(count, with_kwargs=True)
    read = partial(stream_pairs, ranks=ranks)
    found = {name: extract(lm, prompt_pairs(40), method=name, read=read, progress=False) for name in DIRECTIONS}
    profiles = {name: vector.profile.model_dump() for name, vector in found.items() if vector.profile}
    directions = {name: vector.directions for name, vector in found.items()}
    torch.save({"directions": directions, "profiles": profiles, "chats": chats}, folder / f"{ranks.rank}.pt")


def steer_tensor_parallel(folder: Path, ranks: Ranks) -> None:
    """Bare, steered and again bare logits of a model whose weights are split over the processes."""
    model = AutoModelForCausalLM.from_pretrained(folder / "model", tp_plan="auto", dtype=torch.float32)
    lm = LanguageModel(model.eval(), tiny_tokenizer())
    ids = torch.arange(10, 18).unsqueeze(0)
    with torch.no_grad():  # inference mode and split weights don't go together in PyTorch 2.13
        results = [lm.model(input_ids=ids).logits]
        with Sliders(a=random_vector()).attach(lm, allow_mismatch=["weights"]) as dial:
            results.append(lm.model(input_ids=ids).logits)
            dial.set(a=1.5)
            results.append(lm.model(input_ids=ids).logits)
            results.append(lm.model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0))
    shard = model.model.layers[0].mlp.up_proj.weight
    local = shard.to_local() if hasattr(shard, "to_local") else shard
    torch.save({"results": results, "up_proj_rows": len(local)}, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    task = {"extract": extract_all, "tensor-parallel": steer_tensor_parallel}[sys.argv[1]]
    with Ranks.together() as together:
        task(Path(sys.argv[2]), together)
        dist.barrier()
