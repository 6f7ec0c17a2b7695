"""Rooms: impulse responses, and their convolution with speech.

Source: Polack, 1988, La transmission de l'énergie sonore dans les salles (thesis, Université du Maine), for the decaying
noise.
"""

import numpy as np
import torch
import torchaudio
from torch import Tensor

from ser.signal.padding import cut, power


def impulse_response(random: np.random.Generator, t60: float, rate: int, direct_db: float) -> np.ndarray:
    """Return the response of a room, ``(tap,)``: the direct sound, 1, then noise that decays by 60 dB in ``t60`` seconds.

    Args:
        random: Draws the noise.
        t60: Reverberation time in seconds.
        rate: Sampling rate in Hz.
        direct_db: Ratio of the energies of the direct sound and the decay in dB; 0 is the distance where they are equal.
    """
    seconds = np.arange(1, round(t60 * rate)) / rate
    decay = random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / t60)
    decay *= np.sqrt(10 ** (-direct_db / 10) / np.square(decay).sum())
    return np.concatenate([[1.0], decay])


def reverberate(waveform: Tensor, lengths: Tensor, responses: Tensor) -> Tensor:
    """Return each clip in its room, with the RMS and the length that it had: the decay after its end is cut off.

    Shapes:
        - waveform: ``(batch, sample)``, zero beyond a clip's length
        - lengths: ``(batch,)``
        - responses: ``(batch, tap)``
    """
    received, _ = cut(torchaudio.functional.fftconvolve(waveform, responses)[:, : waveform.shape[1]], lengths)
    floor = torch.finfo(torch.float64).tiny
    louder = (power(waveform, lengths) / power(received, lengths).clamp(min=floor)).sqrt()
    return received * louder.float()[:, None]
