"""Tokenizers and models: read from a folder, made from nothing, and written whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from training import rundir
from training.configs import Config, PolicyConfig, SFTConfig, TrainingConfig
from training.recipes.quantized import is_quantized, merged, quantization
from training.recipes.reward_model import needed_head, reward_class
from training.tokenizing import BOS, END, PAD, ROLES, TEMPLATE, learned


def new_tokenizer(
    texts: Iterable[str], vocab_size: int, max_length: int
) -> PreTrainedTokenizerBase:
    """A tokenizer learned from texts, see `training.tokenizing.learned`."""
    wrap: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerBase = wrap(
        tokenizer_object=learned(texts, vocab_size),
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=TEMPLATE,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def new_policy(config: SFTConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A model with random weights, its embedding shared between input and output."""
    family = Qwen3Config if config.architecture == "qwen3" else LlamaConfig
    shape = family(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.hidden_size // config.heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=True,
        # The libraries' 0.02 is meant for widths in the thousands. At width 128 it is a quarter of
        # what keeps a layer's output as large as its input, and learning takes twice the steps.
        initializer_range=config.hidden_size**-0.5,
    )
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(shape, dtype=torch.float32)
    return _name_marks(model, tokenizer)


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """A model's tokenizer, with a pad token that is not its end token."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    if tokenizer.eos_token is None:
        tokenizer.add_special_tokens({"eos_token": END})
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        # With one token for both, the end of a text would count as padding: never learned, and a
        # reward read one token too early.
        tokenizer.add_special_tokens({"pad_token": PAD})
    return tokenizer


def give_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a tokenizer without a chat template the project's own, with its marks."""
    if tokenizer.chat_template:
        return
    tokenizer.add_special_tokens({"bos_token": BOS, "eos_token": END})
    tokenizer.add_special_tokens({"extra_special_tokens": list(ROLES)})
    tokenizer.chat_template = TEMPLATE


def need_template(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """RunFolderError if the model can't tell who says what."""
    if not tokenizer.chat_template:
        raise rundir.RunFolderError(
            f"The model in {path} has no chat template: fine-tune it with the recipe sft first."
        )


def load_policy(
    path: Path,
    tokenizer: PreTrainedTokenizerBase,
    dtype: torch.dtype = torch.float32,
    *,
    config: PolicyConfig | None = None,
) -> PreTrainedModel:
    """A causal language model that fits the tokenizer; quantized where its config says so."""
    frozen = quantization(config) if config else None
    given = {"quantization_config": frozen} if frozen else {}
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **given)
    return _name_marks(_fit(model, tokenizer), tokenizer)


def load_reward_model(
    path: Path, tokenizer: PreTrainedTokenizerBase, *, seed: int | None = None
) -> PreTrainedModel:
    """A model with one number as its output; a policy gets a new head, drawn with `seed`.

    The head's weights are normal with variance 1 / (d_model + 1) (2009.01325, B.1). Raises
    RunFolderError for a policy where no seed is given, since its scores would be noise.
    """
    kinds = AutoConfig.from_pretrained(path).architectures or []
    headless = not any(kind.endswith("ForSequenceClassification") for kind in kinds)
    if headless and seed is None:
        raise rundir.RunFolderError(f"{path} holds no reward model: train one with recipe reward.")
    config = AutoConfig.from_pretrained(path, num_labels=1)
    stock: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if stock is None:
        raise rundir.RunFolderError(f"{path} holds a {config.model_type}, which can't score texts.")
    head = needed_head(stock, config, path)
    model: Any = reward_class(stock, head).from_pretrained(path, config=config, dtype=torch.float32)
    if headless and seed is not None:
        generator = torch.Generator().manual_seed(seed)
        weight = getattr(model, head).weight
        noise = torch.randn(weight.shape, generator=generator)
        weight.data.copy_(noise / (weight.shape[1] + 1) ** 0.5)
    if getattr(model, head).bias is not None:
        # Differences of scores know no bias: Adam would make steps of its gradient's rounding.
        getattr(model, head).bias.requires_grad_(False)
    fitted = _fit(model, tokenizer)
    fitted.config.pad_token_id = tokenizer.pad_token_id
    return fitted


def _fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Make room for tokens that were added; embeddings larger than the tokenizer stay."""
    for weight in model.parameters():
        # A file's weights lie wherever the file put them, and a kernel may add up in another order
        # there. In memory of their own they give the same to the bit as before they were saved.
        weight.data = weight.data.clone()
    embedding: Any = model.get_input_embeddings()
    if len(tokenizer) > embedding.num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    return model


def _name_marks(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    for config in (model.config, model.generation_config):
        config.pad_token_id = tokenizer.pad_token_id
        config.bos_token_id = tokenizer.bos_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    model.generation_config.eos_token_id = sorted({*ends, tokenizer.eos_token_id})
    return model


def lora(config: TrainingConfig, *, head: str | None = None) -> LoraConfig | None:
    """The adapters the config asks for, or None; `head` is trained whole beside them."""
    if config.lora_r == 0:
        return None
    names = [name.strip() for name in config.lora_targets.split(",") if name.strip()]
    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=names[0] if names == ["all-linear"] else names,
        modules_to_save=[head] if head else None,
        task_type="SEQ_CLS" if head else "CAUSAL_LM",
    )


def device_of(config: Config) -> torch.device:
    """Where to compute what no trainer places."""
    gpu = config.device == "auto" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")


def whole(model: Any) -> Any:
    """The model itself: adapters, if it has any, are merged into its weights."""
    if isinstance(model, PeftModel) and is_quantized(model):
        return merged(model)
    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def load_members(path: Path, tokenizer: PreTrainedTokenizerBase) -> list[PreTrainedModel]:
    """The reward models of a folder: one, or all members of an ensemble, the first one first."""
    members = sorted(path.glob(f"{rundir.MEMBER}*"), key=lambda one: int(one.name.split("-")[1]))
    return [load_reward_model(place, tokenizer) for place in (path, *members)]


def save_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    members: Sequence[Path] = (),
) -> None:
    """Write weights, config and tokenizer so that the folder appears whole or not at all.

    `members` are the folders of an ensemble's other models, which are copied into it.
    """
    model = whole(model)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    for number, member in enumerate(members, start=1):
        shutil.copytree(member, temporary / f"{rundir.MEMBER}{number}")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    rundir.sync_folder(folder.parent)
