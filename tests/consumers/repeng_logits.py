"""Run by a Python that has repeng: logits of a model folder under the control vector of a GGUF file, and back.

`repeng_logits.py MODEL_FOLDER VECTOR.gguf IDS.npy OUT.npz BACK.gguf`: `OUT.npz` gets `logits`; `BACK.gguf` is the
vector as repeng writes it.
"""

import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

np.float_ = np.float64  # repeng 0.4 was written for NumPy 1, where this name was
from repeng import ControlModel, ControlVector  # noqa: E402

model_path, vector_path, ids_path, out_path, back_path = sys.argv[1:]
vector = ControlVector.import_gguf(vector_path)
model = ControlModel(AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32), list(vector.directions))
model.set_control(vector, 1.0)
with torch.inference_mode():
    ids = torch.from_numpy(np.load(ids_path))
    positions = torch.arange(ids.shape[1]).expand_as(ids)  # repeng 0.4 wants them for every row, transformers 5 has one
    logits = model(input_ids=ids, position_ids=positions).logits
np.savez(out_path, logits=logits.numpy())
vector.export_gguf(back_path)
