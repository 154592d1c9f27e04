"""Run by a Python that has PEFT: logits of a model folder under an adapter.

`peft_logits.py MODEL_FOLDER ADAPTER_FOLDER IDS.npy OUT.npz`
"""

import sys

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

model_path, adapter_path, ids_path, out_path = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32), adapter_path)
with torch.inference_mode():
    np.savez(out_path, logits=model.eval()(input_ids=torch.from_numpy(np.load(ids_path))).logits.numpy())
