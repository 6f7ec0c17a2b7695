"""The encoder of Whisper on clips of their own length, instead of padding them to 30 s.

Source: Radford et al., 2023, https://proceedings.mlr.press/v202/radford23a.html.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.precision import at_least_float32
from ser.models.encoders.encoder import Encoder, attention_of, library, stack_states


class WhisperEncoder(Encoder):
    """An `Encoder` that reads log-mel energies. A frame is two mel frames, 20 ms.

    Whisper was pretrained with each clip padded to 30 s, and attends to the silence after it. Here some silence follows
    each clip, is attended to, and is cut off from the states; with 30 s of it they equal those of a padded clip. A
    recording longer than the positions of the net (30 s) is encoded in as few equal consecutive windows as possible,
    and their frames are joined. ``mask`` gets the log-mel energies.

    Args:
        config: Of transformers; its layer dropping is switched off.
        preprocessor: The content of ``preprocessor_config.json``: ``sampling_rate``, ``n_fft``, ``hop_length``,
            ``feature_size``.
        attention: See `ser.models.encoders.checkpoint.build_encoder`.
        silence: Silence after each clip, in seconds.

    Raises:
        ConfigError: If ``silence`` is negative, or the preprocessor's features do not fit the net.
    """

    prefixes = ("model.encoder.", "encoder.")

    def __init__(
        self, config: Any, preprocessor: Mapping[str, Any], attention: str = "auto", silence: float = 1.0
    ) -> None:
        net_class = library("transformers.models.whisper.modeling_whisper").WhisperEncoder
        sample_rate, hop = int(preprocessor.get("sampling_rate", 16000)), int(preprocessor.get("hop_length", 160))
        n_mels = int(preprocessor.get("feature_size", 80))
        if n_mels != config.num_mel_bins:
            raise ConfigError(
                f"feature_size in preprocessor_config.json must be {config.num_mel_bins}, as in config.json; got {n_mels}."
            )
        if not silence >= 0:
            raise ConfigError(f"model.encoder.silence must be at least 0 s; got {silence}.")
        config.encoder_layerdrop = 0.0
        config._attn_implementation = attention_of(net_class, attention)
        super().__init__(net_class(config), sample_rate, config.d_model)
        self.fused = config._attn_implementation == "sdpa"
        self.hop = hop
        self.silence = round(silence * sample_rate / hop)  # in mel frames
        self.longest = 2 * int(config.max_source_positions)  # in mel frames
        self.log_mel = WhisperLogMel(n_mels, int(preprocessor.get("n_fft", 400)), hop, sample_rate)

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if waveform.shape[1] <= self.longest * self.hop:
            return self._run(waveform, lengths)
        windows = [clip[:n].split(self.window(n)) for clip, n in zip(waveform, lengths.tolist(), strict=True)]
        flat = [window for clip in windows for window in clip]
        sizes = torch.tensor([len(window) for window in flat], device=lengths.device)
        states, frames = self._run(nn.utils.rnn.pad_sequence(flat, batch_first=True), sizes)
        cut = iter(layers[:, :n].transpose(0, 1) for layers, n in zip(states, frames.tolist(), strict=True))
        joined = [torch.cat([next(cut) for _ in clip]) for clip in windows]  # each (frame, layer, width)
        total = torch.tensor([len(clip) for clip in joined], device=lengths.device)
        return nn.utils.rnn.pad_sequence(joined, batch_first=True).transpose(1, 2), total

    def window(self, length: int) -> int:
        """Return the samples in each window of a clip of ``length`` samples: an even number of mel frames."""
        frames = max(1, math.ceil(length / self.hop))
        windows = math.ceil(frames / self.longest)
        return math.ceil(frames / windows / 2) * 2 * self.hop

    def _run(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return all states of clips that the net has positions for."""
        states, frames = self.states_of(waveform, lengths, int(self._mel_frames(lengths)[1].max()))
        return states[:, :, : int(frames.max())], frames

    def _mel_frames(self, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mel frames that are centred in each clip, and those with the silence after it."""
        frames = ((lengths + self.hop - 1) // self.hop).clamp(min=1)
        return frames, (frames + self.silence).clamp(max=self.longest)

    def states_of(self, waveform: Tensor, lengths: Tensor, mel_frames: int) -> tuple[Tensor, Tensor]:
        """Return all states of clips that the net has positions for, from a number of mel frames that suffices for all."""
        frames, total = self._mel_frames(lengths)
        mel = self.log_mel(waveform, mel_frames)
        if self.training and self.mask is not None:
            mel = self.mask(mel.transpose(1, 2), frames).transpose(1, 2)
        # Beyond its silence a clip alone has the convolutions' zero border; a clip in a batch has the same.
        valid = frame_mask(total, mel.shape[-1])[:, None]
        hidden = nn.functional.gelu(self.net.conv1(mel * valid)) * valid
        hidden = nn.functional.gelu(self.net.conv2(hidden)).transpose(1, 2)
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        hidden = hidden + self.net.embed_positions(positions.clamp(max=self.longest // 2 - 1))
        # A frozen stem is in evaluation mode, whatever the mode of the layers above it.
        hidden = nn.functional.dropout(hidden, self.net.dropout, self.net.conv2.training)
        attended = self._attended((total + 1) // 2, hidden.shape[1])
        states = [hidden]
        for block in self.blocks:
            states.append(block(states[-1], attention_mask=attended))
        states[-1] = self.net.layer_norm(states[-1])
        frames = (frames + 1) // 2
        return stack_states(states, frames), frames

    def _attended(self, frames: Tensor, longest: int) -> Tensor:
        """Return the attention mask, ``(batch, 1, 1, frame)``: booleans for fused attention, else added to the scores."""
        valid = frame_mask(frames, longest)[:, None, None]
        if self.fused:
            return valid
        return torch.zeros(valid.shape, device=valid.device).masked_fill(~valid, torch.finfo(torch.float32).min)

    # ---- its parts

    @property
    @override
    def transformer(self) -> Any:
        return self.net

    @property
    @override
    def feature_extractor(self) -> nn.Module:
        return nn.ModuleList([self.net.conv1, self.net.conv2])

    @property
    @override
    def stem(self) -> list[nn.Module]:
        return [self.net.conv1, self.net.conv2, self.net.embed_positions]


class WhisperLogMel(nn.Module):
    """Log-mel energies like those of transformers' ``WhisperFeatureExtractor``, on the device, of any number of frames.

    Frames are centred at multiples of the hop; the waveform is mirrored before its start, and silent after its end, as
    in a run padded to 30 s. No energy is more than 80 dB below the clip's highest.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - returns: ``(batch, n_mels, frame)``

    Args:
        n_mels: Bands on Slaney's mel scale, from 0 to 8 kHz.
        n_fft: Length of the Hann window in samples.
        hop: Distance of frames in samples.
        sample_rate: In Hz.

    Example:
        >>> WhisperLogMel()(torch.zeros(1, 16000), frames=100).unique().tolist()  # (log10(1e-10) + 4) / 4
        [-1.5]
    """

    filters: Tensor
    window: Tensor

    def __init__(self, n_mels: int = 80, n_fft: int = 400, hop: int = 160, sample_rate: int = 16000) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        filters = library("transformers.audio_utils").mel_filter_bank(
            1 + n_fft // 2, n_mels, 0.0, 8000.0, sample_rate, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("filters", torch.tensor(filters.T, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    @override
    def forward(self, waveform: Tensor, frames: int) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):  # half precision cannot hold power spectra
            half = self.n_fft // 2
            samples = max((frames - 1) * self.hop, 1) + half
            waveform = nn.functional.pad(at_least_float32(waveform), (0, samples - waveform.shape[1]))
            mirrored = torch.cat([waveform[:, 1 : half + 1].flip(1), waveform], dim=1)
            spectrum = torch.stft(
                mirrored, self.n_fft, self.hop, window=self.window, center=False, return_complex=True
            )[..., :frames]
            energy = self.filters @ spectrum.abs().square()
            logs = energy.clamp(min=1e-10).log10()
            logs = torch.maximum(logs, logs.amax(dim=(1, 2), keepdim=True) - 8.0)
            return (logs + 4.0) / 4.0
