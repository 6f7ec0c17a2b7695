"""Tiny random checkpoints of every family of encoders, saved as transformers saves them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

SIZE = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "num_hidden_layers": 3}
CONVOLUTIONS = {
    "conv_dim": [16, 16, 24],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_feat_extract_layers": 3,
}
POSITIONS = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
"""16 channels a group: torch 2.11's convolution in bfloat16 is wrong on processors with AMX where a group has 8 or 12. Real
encoders have 48 or 64, which a test holds to be right."""
BASE = SIZE | CONVOLUTIONS | POSITIONS | {"vocab_size": 5}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
DATA2VEC = {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 6}
SEW = {"squeeze_factor": 2, "conv_dim": [16, 16, 24]}
WHISPER = {
    **{"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 48},
    **{"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 48, "vocab_size": 20},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3},
    "max_source_positions": 100,  # 2 s
}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2 base": ("wav2vec2", BASE),
    "wav2vec2 large": ("wav2vec2", BASE | LARGE),
    "hubert base": ("hubert", BASE),
    "hubert with batch norm": ("hubert", BASE | {"conv_pos_batch_norm": True, "feat_proj_layer_norm": False}),
    "wavlm base": ("wavlm", BASE),
    "wavlm large": ("wavlm", BASE | LARGE),
    "data2vec": ("data2vec-audio", BASE | DATA2VEC),
    "unispeech": ("unispeech", BASE),
    "unispeech-sat": ("unispeech-sat", BASE | LARGE),
    "conformer": ("wav2vec2-conformer", BASE | LARGE | {"position_embeddings_type": "rotary"}),
    "sew": ("sew", BASE | SEW),
    "whisper 80": ("whisper", WHISPER | {"num_mel_bins": 80}),
    "whisper 128": ("whisper", WHISPER | {"num_mel_bins": 128}),
}
RAW = [name for name in MADE if not name.startswith("whisper")]
"""Checkpoints that read the waveform."""
NOT_NORMALISED = ("wavlm base", "hubert base")
"""Checkpoints that take a clip at the level it has."""


def preprocessor_of(name: str) -> dict[str, Any]:
    if name not in RAW:
        return {"sampling_rate": 16000, "feature_size": MADE[name][1]["num_mel_bins"], "chunk_length": 2}
    return {"sampling_rate": 16000, "do_normalize": name not in NOT_NORMALISED, "return_attention_mask": True}


def randomise(module: torch.nn.Module) -> None:
    """No weight where transformers' start leaves it: a norm that shifts by zero would hide what padding does."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and "inv_freq" not in name:
            tensor.add_(torch.randn(tensor.shape) * 0.1)
            if "running_var" in name:
                tensor.abs_()


def save_checkpoint(folder: Path, name: str, head: str = "", seed: int = 0, **settings: Any) -> Path:
    """Write the checkpoint ``name``, with a task's head if the name of its class is given, and some settings changed."""
    transformers = pytest.importorskip("transformers")
    family, usual = MADE[name]
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(family, **(usual | settings))
    net = getattr(transformers, head)(config) if head else transformers.AutoModel.from_config(config)
    randomise(net)
    net.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor_of(name)))
    return folder


BRISK = {"conv_kernel": [10, 8, 4], "conv_stride": [10, 8, 4], "num_hidden_layers": 2}
"""50 frames a second, as real ones have, and two layers."""
NO_DROPOUT = dict.fromkeys(("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout"), 0.0)
SYSTEMS = {
    "wav2vec2 base": "wav2vec2",
    "wav2vec2 large": "wav2vec2",
    "hubert base": "hubert",
    "wavlm base": "wavlm",
    "data2vec": "data2vec",
    "whisper 80": "whisper",
}
"""Of what each file of conf/model is tried with."""


def save_brisk(folder: Path, name: str, seed: int = 0, **settings: Any) -> Path:
    """Write one of `SYSTEMS`, small enough to be trained in a second."""
    small = {"encoder_layers": 2} if name.startswith("whisper") else BRISK
    return save_checkpoint(folder, name, seed=seed, **small | settings)
