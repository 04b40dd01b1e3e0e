"""QLoRA (2305.14314): frozen weights in four bits under adapters, where the machine can do that."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from training import rundir
from training.configs import PolicyConfig


def quantization(config: PolicyConfig) -> BitsAndBytesConfig | None:
    """How to hold the frozen weights, or None to hold them whole.

    Four-bit normal floats, their scales quantized too, computing in bf16, as the paper trains.
    Raises RunFolderError where bitsandbytes or a CUDA GPU is missing.
    """
    if config.quantize == "none":
        return None
    if find_spec("bitsandbytes") is None:
        raise rundir.RunFolderError(
            "quantize nf4 needs the package bitsandbytes, which is not installed here: install it, "
            "or set quantize to none."
        )
    if not torch.cuda.is_available():
        raise rundir.RunFolderError(
            "quantize nf4 needs a CUDA GPU, and this machine shows none: run it on one, or set "
            "quantize to none."
        )
    kind: Any = BitsAndBytesConfig
    made: BitsAndBytesConfig = kind(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return made


def is_quantized(model: PeftModel) -> bool:
    """Whether the weights under the adapters are held in four bits."""
    return bool(getattr(model.get_base_model(), "is_loaded_in_4bit", False))


def merged(model: PeftModel) -> Any:
    """The adapters merged into the whole weights that the quantized ones were made of.

    Merged into four bits they would be rounded to them.
    """
    quantized: Any = model.get_base_model()
    whole: Any = AutoModelForCausalLM.from_pretrained(
        quantized.config._name_or_path, dtype=torch.float32
    )
    rows = quantized.get_input_embeddings().num_embeddings
    if rows != whole.get_input_embeddings().num_embeddings:
        whole.resize_token_embeddings(rows)
    whole.generation_config = quantized.generation_config
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        adapted: Any = PeftModel.from_pretrained(whole, str(Path(folder)))
    return adapted.merge_and_unload()
