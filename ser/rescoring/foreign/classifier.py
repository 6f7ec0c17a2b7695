"""A classifier of audio of transformers, with the preprocessing that it was trained with, one clip at a time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.errors import ConfigError, RunError
from ser.runtime.packages import of_extra
from ser.runtime.words import and_more

FOREIGN = "hf:"
"""What the name of a model of transformers begins with: ``hf:<owner>/<name>``, ``hf:<owner>/<name>@<revision>``, a folder."""
UNUSED = ("masked_spec_embed",)
"""Ends of the names of weights that a prediction does not use, so that a checkpoint may lack them."""


class ForeignClassifier:
    """A classifier as its author published it. No code of its checkpoint is run.

    Args:
        name: A folder that transformers saved to (a path that exists, or starts with ``.``, ``/`` or ``~``), or an id on the
            hub, which ``@`` and a revision may follow.
        pickle: Whether ``pytorch_model.bin`` is read where there is no safetensors file; tensors only.
        device: Where it runs.

    Attributes:
        id: The id, or the folder's name.
        labels: In the order of the outputs.
        sample_rate: Of its input, in Hz.
        facts: The id, the commit on the hub, and the SHA-256 of the weights, as plain JSON.

    Raises:
        ConfigError: If there is no such model, a file is damaged or missing, or a weight is.
    """

    def __init__(self, name: str, *, pickle: bool = False, device: torch.device | str = "cpu") -> None:
        transformers = of_extra("transformers", "pretrained", "Models of transformers")
        folder = Path(name).expanduser()
        is_folder = name.startswith((".", "/", "~")) or folder.is_dir()
        if is_folder and not (folder / "config.json").is_file():
            raise ConfigError(
                f"model must be a folder of transformers, with config.json, or an id on the hub; got {name}."
            )
        place, _, revision = (str(folder), "", "") if is_folder else name.partition("@")
        where = {"revision": revision or None, "trust_remote_code": False, "local_files_only": is_folder}
        weights = {} if pickle else {"use_safetensors": True}
        # The attention of the checkpoint's own choice may be a kernel that is downloaded.
        chosen = {"attn_implementation": "eager", "dtype": torch.float32, "output_loading_info": True}
        with _plain_errors(name):
            net, loaded = transformers.AutoModelForAudioClassification.from_pretrained(
                place, **where, **weights, **chosen
            )
            self._prepare = transformers.AutoFeatureExtractor.from_pretrained(place, **where)
        _check_whole(name, loaded)
        self._net: Any = net.eval().to(device)
        self.id = folder.absolute().name if is_folder else place
        self.sample_rate = int(self._prepare.sampling_rate)
        names = net.config.id2label
        self.labels = tuple(str(names[at]) for at in range(len(names)))
        self.parameters = sum(parameter.numel() for parameter in net.parameters())
        commit = getattr(net.config, "_commit_hash", None)
        self.facts = {"checkpoint": self.id, "revision": commit, "sha256": _sha256_of_weights(net)}

    def logits(self, waveform: np.ndarray, utterance: str = "a clip") -> np.ndarray:
        """Return the outputs for one clip, whatever else is scored.

        Args:
            waveform: ``(sample,)`` at ``sample_rate``, full scale = 1.
            utterance: Its name in errors.

        Returns:
            ``(label,)`` float64.

        Raises:
            RunError: If the model cannot take it, or answers with something else than a number a label.
        """
        try:
            inputs = self._prepare(waveform, sampling_rate=self.sample_rate, return_tensors="pt")
            with torch.inference_mode():
                found = self._net(**inputs.to(self._net.device)).logits
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            first = str(error).partition("\n")[0]
            raise RunError(
                f"{self.id} must take every clip; it cannot take {utterance} ({first:.150}). Use another model."
            ) from error
        values = found.double().cpu().numpy()
        if values.shape != (1, len(self.labels)) or not np.isfinite(values).all():
            raise RunError(
                f"{self.id} must give a finite number for each of {len(self.labels)} labels; for {utterance} it gives others,"
                f" of the shape {values.shape}. Use another model."
            )
        outputs: np.ndarray = values[0]
        return outputs


@contextmanager
def _plain_errors(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers, huggingface_hub and the network can raise anything
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(
            f"model must be an audio classifier of transformers, in safetensors, in a folder or on the hub; {name} cannot be "
            f"used ({reason:.250}). pickle=true reads pytorch_model.bin, too."
        ) from error


def _check_whole(name: str, loaded: Any) -> None:
    """Refuse a checkpoint with weights missing: transformers draws them at random, and the answers would be, too."""
    missing = sorted(key for key in loaded["missing_keys"] if not key.endswith(UNUSED))
    misshapen = sorted(str(key[0] if isinstance(key, tuple) else key) for key in loaded["mismatched_keys"])
    if missing or misshapen:
        raise ConfigError(
            f"{name} must have every weight of its classifier; {and_more([*missing, *misshapen])} would be drawn at random, "
            "and so would its answers. Use the code of its author, and docs/elsewhere.md for the predictions."
        )


def _sha256_of_weights(net: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
