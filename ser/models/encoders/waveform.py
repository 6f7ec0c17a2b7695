"""Encoders that read the waveform: wav2vec 2.0, HuBERT, WavLM, data2vec and similar ones.

Sources: Baevski et al., 2020, https://arxiv.org/abs/2006.11477; Hsu et al., 2021,
https://doi.org/10.1109/TASLP.2021.3122291; Chen et al., 2022, https://doi.org/10.1109/JSTSP.2022.3188113; Baevski et
al., 2022, https://arxiv.org/abs/2202.03555.

In transformers, padding changes the output of some of these: the group norm of the base models includes padding in its
mean and deviation, and data2vec's stacked positional convolutions, and the batch norm before HuBERT's, write non-zero
values into the padded frames, which the next convolution mixes back. Here each works on the clip's own frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.precision import at_least_float32
from ser.models.encoders.encoder import Encoder, attention_of, library, rejoined, stack_states

PADDING_SAFE = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
"""Families whose layers are known to be independent of padding; others run on clips of one length at a time."""


@dataclass
class Present:
    """What hooks and parts of a net must know of the present clips, which transformers does not pass on to them.

    Attributes:
        frames: ``(batch,)``.
    """

    frames: Tensor = field(default_factory=lambda: torch.empty(0))


class WaveformEncoder(Encoder):
    """An `Encoder` that reads the waveform. A clip shorter than one frame is padded with silence to one.

    ``mask`` gets the projected features, and as third argument what the net was pretrained to find in a masked frame,
    ``(width,)``.

    Args:
        config: Of transformers; its own masking and layer dropping are switched off.
        preprocessor: The content of ``preprocessor_config.json``: ``sampling_rate``, and ``do_normalize``, whether a
            clip is normalised to zero mean and unit variance first.
        attention: See `ser.models.encoders.checkpoint.build_encoder`.

    Raises:
        ConfigError: If transformers has no such encoder of waveforms.
    """

    masked_spec_embed: Tensor

    def __init__(self, config: Any, preprocessor: Mapping[str, Any], attention: str = "auto") -> None:
        net_class = _class_of(config)
        config.apply_spec_augment, config.layerdrop, config.add_adapter = False, 0.0, False
        # The net itself masks nothing. Its mask embedding is a buffer here, not a weight that is never trained.
        config.mask_time_prob = config.mask_feature_prob = 0.0
        config._attn_implementation = attention_of(net_class, attention)
        super().__init__(net_class(config), int(preprocessor.get("sampling_rate", 16000)), config.hidden_size)
        self.net.masked_spec_embed = None  # UniSpeech-SAT has one nevertheless
        self.register_buffer("masked_spec_embed", torch.zeros(self.width))
        self.prefixes = (f"{net_class.base_model_prefix}.",)
        self.normalise = bool(preprocessor.get("do_normalize", True))
        self.padding_safe = config.model_type in PADDING_SAFE
        self.norm_is_last = getattr(config, "do_stable_layer_norm", False) or config.model_type == "wav2vec2-conformer"
        self.shortest = getattr(config, "squeeze_factor", 1)  # in frames; SEW pools that many into one
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel  # in samples, after the loop
        self._present = Present()
        self.net.encoder.register_forward_pre_hook(self._mask_frames)
        if self.padding_safe:
            self._keep_padding_out()

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        waveform = self.front_end(waveform, lengths)
        lengths = lengths.clamp(min=self.shortest)
        missing = int(lengths.max()) - waveform.shape[1]
        waveform = nn.functional.pad(waveform, (0, missing))  # cuts if negative
        # In training, the net would make its input require a gradient, and so store all activations of a frozen stem.
        self.net.feature_extractor._requires_grad = any(p.requires_grad for p in self.feature_extractor.parameters())
        return self.states_of(waveform, lengths) if self.padding_safe else self._run_by_length(waveform, lengths)

    def front_end(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the waveform as the net was pretrained on it, like transformers' ``Wav2Vec2FeatureExtractor``."""
        waveform = at_least_float32(waveform)
        valid = frame_mask(lengths, waveform.shape[1])
        if not self.normalise:
            return waveform * valid
        count = lengths[:, None].clamp(min=1)
        centred = (waveform - (waveform * valid).sum(1, keepdim=True) / count) * valid
        return centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()

    def states_of(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return all states of clips that are at least one frame long."""
        self._present.frames = self.net._get_feat_extract_output_lengths(lengths)
        first = self.net.feature_extractor.conv_layers[0]
        if isinstance(norm := getattr(first, "layer_norm", None), ClipGroupNorm):
            norm.present.frames = (lengths - first.conv.kernel_size[0]) // first.conv.stride[0] + 1
        valid = frame_mask(lengths, waveform.shape[1]).long()
        out = self.net(waveform, attention_mask=valid, output_hidden_states=True)
        states = list(out.hidden_states)
        # Where their shapes differ (SEW), the last has a higher frame rate, interpolated from the last block's.
        if out.last_hidden_state.shape == states[-1].shape:
            states[-1] = out.last_hidden_state  # after the final norm
        frames = self._present.frames.clamp(max=states[0].shape[1])
        return stack_states(states, frames), frames

    def _run_by_length(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `states_of` does, in batches of clips of the same length, so that there is no padding."""
        rows, states, frames = [], [], []
        for length in sorted(set(lengths.tolist())):
            here = (lengths == length).nonzero()[:, 0]
            some_states, some_frames = self.states_of(waveform[here, :length], lengths[here])
            rows.append(here)
            states.append(some_states)
            frames.append(some_frames)
        return rejoined(rows, states, frames)

    def train(self, mode: bool = True) -> "WaveformEncoder":
        """Set the training mode, except for batch norms, whose statistics would mix the clips of a batch, and padding."""
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    # ---- its parts

    @property
    @override
    def transformer(self) -> Any:
        return self.net.encoder

    @property
    @override
    def feature_extractor(self) -> nn.Module:
        convolutions: nn.Module = self.net.feature_extractor
        return convolutions

    @property
    @override
    def stem(self) -> list[nn.Module]:
        """The modules below the transformer layers, including the norm before them in the base models."""
        above = {"layers", "upsample"} | ({"layer_norm"} if self.norm_is_last else set())
        below = [module for name, module in self.net.named_children() if name not in ("encoder", "adapter")]
        return below + [module for name, module in self.net.encoder.named_children() if name not in above]

    # ---- keeping padding out

    def _keep_padding_out(self) -> None:
        first = self.net.feature_extractor.conv_layers[0]
        if isinstance(norm := getattr(first, "layer_norm", None), nn.GroupNorm):
            first.layer_norm = ClipGroupNorm(norm)
        positions = self.net.encoder.pos_conv_embed
        for module in [getattr(positions, "batch_norm", None), *getattr(positions, "layers", [])]:
            if module is not None:
                module.register_forward_hook(self._zero_padding)

    def _zero_padding(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        """Set ``(batch, width, frame)`` to zero beyond a clip's frames, where a clip alone has a zero border."""
        return output * frame_mask(self._present.frames, output.shape[-1])[:, None]

    def _mask_frames(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Mask the projected features on their way into the transformer."""
        if self.mask is None or not self.training:
            return None
        return (self.mask(args[0], self._present.frames, self.masked_spec_embed), *args[1:])


class ClipGroupNorm(nn.GroupNorm):
    """A group norm whose statistics are over a clip's own frames; padding comes out as zero.

    Shapes:
        - features: ``(batch, channel, frame)``
        - returns: the same

    Args:
        norm: The norm whose parameters are used.

    Attributes:
        present: Holds the number of frames of each clip of the next batch.

    Example:
        >>> norm = ClipGroupNorm(nn.GroupNorm(1, 1))
        >>> norm.present.frames = torch.tensor([2])
        >>> norm(torch.tensor([[[1.0, 3.0, 9.0]]])).round().tolist()
        [[[-1.0, 1.0, 0.0]]]
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps)
        self.weight, self.bias = norm.weight, norm.bias
        self.present = Present()

    @override
    def forward(self, features: Tensor) -> Tensor:
        # Clip by clip with torch's own kernel: bit for bit the result of the clip alone, and no copies for the statistics.
        longest, frames = features.shape[-1], self.present.frames.tolist()
        clips = [super(ClipGroupNorm, self).forward(x[None, :, :n]) for x, n in zip(features, frames, strict=True)]
        return torch.cat([nn.functional.pad(clip, (0, longest - clip.shape[-1])) for clip in clips])


def _class_of(config: Any) -> Any:
    """Return the class of transformers for a configuration."""
    transformers = library("transformers")
    found = transformers.MODEL_MAPPING.get(type(config), None)
    reads_waveforms = getattr(found, "main_input_name", "") == "input_values"
    if not (reads_waveforms and hasattr(found, "_get_feat_extract_output_lengths") and hasattr(config, "conv_kernel")):
        raise ConfigError(
            f"model_type in config.json must be {', '.join(PADDING_SAFE)}, whisper, or a similar encoder of waveforms such "
            f"as wav2vec2-conformer or sew; got {config.model_type!r}."
        )
    return found
