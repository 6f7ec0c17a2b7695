"""Checkpoints of pretrained encoders: found in a folder or on the hub, checked weight by weight, rebuilt without either."""

import hashlib
import json
import pickle as pickles
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.models.encoders.encoder import Encoder, library
from ser.models.encoders.waveform import PADDING_SAFE, WaveformEncoder
from ser.models.encoders.whisper import WhisperEncoder
from ser.runtime.words import and_more

Architecture = dict[str, Any]
"""What `build_encoder` needs, with its provenance, as plain JSON: ``family``, ``config``, ``preprocessor``,
``checkpoint`` (the hub's id, or the folder's name), ``revision`` (a commit, or ``None``) and ``sha256`` of the
weights."""

Find = Callable[..., Path | None]
"""Returns the path of the first of some file names that a checkpoint has, or ``None``."""

SAFE, INDEX, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
NO_ARCHITECTURE = ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype")
"""Keys of config.json that are not architecture. Weights are float32 here, however they were stored."""
HEADS = (
    *("lm_head.", "classifier.", "projector.", "layer_weights", "tdnn.", "objective.", "adapter."),
    *("feature_extractor.weight", "feature_extractor.bias"),  # a linear layer of the x-vector heads
    *("quantizer.", "project_hid.", "project_q.", "final_proj.", "ctc_proj.", "speaker_proj."),
    *("label_embeddings_concat", "layer_norm_for_extract.", "decoder.", "model.decoder.", "proj_out."),
)
"""Prefixes of the names of weights that do not belong to the encoder, and are left out."""
RENAMED = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
"""Names of weight norm in older versions of torch, and their present names."""


def fetch(checkpoint: str, revision: str | None = None, pickle: bool = False) -> tuple[Architecture, dict[str, Tensor]]:
    """Read a pretrained encoder from a folder, or from the hub's cache, or from the hub.

    Cached files are not looked up again; ``revision`` selects another version. Heads and decoders are left out.

    Args:
        checkpoint: A folder that transformers saved to (a path that exists, or starts with ``.``, ``/`` or ``~``), or
            an id on the hub.
        revision: Branch, tag or commit on the hub.
        pickle: Whether ``pytorch_model.bin`` is read where there is no safetensors file.

    Returns:
        The architecture, and the state of ``build_encoder(architecture)``, for ``load_state_dict``.

    Raises:
        ConfigError: If a file is missing or damaged, or weights are missing, of another shape or unknown. The message
            names them.
    """
    is_folder = checkpoint.startswith((".", "/", "~")) or Path(checkpoint).is_dir()
    find: Find = _in_folder(checkpoint) if is_folder else _Hub(checkpoint, revision)
    config = _json(_required(find, "config.json", checkpoint))
    preprocessor = _json(_required(find, "preprocessor_config.json", checkpoint))
    preprocessor.pop("mel_filters", None)  # of old Whisper checkpoints: 16 thousand numbers that n_fft and others imply
    files = _weight_files(find, checkpoint, pickle)
    architecture = {
        "family": config.get("model_type"),
        "config": {key: value for key, value in config.items() if key not in NO_ARCHITECTURE},
        "preprocessor": preprocessor,
        "checkpoint": Path(checkpoint).expanduser().absolute().name if is_folder else checkpoint,
        "revision": find.revision if isinstance(find, _Hub) else None,
        "sha256": _sha256(files),
    }
    with torch.device("meta"):
        encoder = build_encoder(architecture)
    return architecture, _own_weights(encoder, _read_weights(files), checkpoint)


def build_encoder(architecture: Mapping[str, Any], attention: str = "auto", silence: float = 1.0) -> Encoder:
    """Build an untrained encoder from its architecture.

    Args:
        architecture: As `fetch` returns it.
        attention: ``sdpa`` is torch's fused attention, ``eager`` the plain one, ``auto`` sdpa where the family has it.
        silence: See `ser.models.encoders.whisper.WhisperEncoder`; not used by other families.

    Raises:
        ConfigError: If transformers does not know the family, the configuration cannot be built, or ``attention`` is
            not one that the family has.
    """
    family, preprocessor = architecture["family"], architecture["preprocessor"]
    auto = library("transformers").AutoConfig
    invalid = library("huggingface_hub.errors").StrictDataclassError
    try:
        left_out = ("model_type", "gradient_checkpointing")  # the second, of old files, would turn it on
        settings = {key: value for key, value in architecture["config"].items() if key not in left_out}
        config = auto.for_model(family, **settings)
        if family == "whisper":
            return WhisperEncoder(config, preprocessor, attention, silence)
        return WaveformEncoder(config, preprocessor, attention)
    except (ValueError, TypeError, KeyError, invalid) as error:
        raise ConfigError(
            f"No encoder can be built from config.json of {architecture['checkpoint']}, whose model_type is {family!r}: "
            f"{error}. Known families: {', '.join(PADDING_SAFE)}, whisper."
        ) from error


# ---- where files are


def _in_folder(checkpoint: str) -> Find:
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"model.encoder.checkpoint must be a folder with config.json, or an id on the hub; got {checkpoint}."
        )
    return lambda *names: next((folder / name for name in names if (folder / name).is_file()), None)


class _Hub:
    """Find a checkpoint's files in the hub's cache, or else on the hub; all are of the first one's commit."""

    def __init__(self, checkpoint: str, revision: str | None) -> None:
        self.id, self.revision = checkpoint, revision

    def __call__(self, *names: str) -> Path | None:
        hub, errors = library("huggingface_hub"), library("huggingface_hub.errors")
        try:
            for name in names:
                if isinstance(cached := hub.try_to_load_from_cache(self.id, name, revision=self.revision), str):
                    return self._of_one_commit(cached)
            for name in names:
                try:
                    return self._of_one_commit(hub.hf_hub_download(self.id, name, revision=self.revision))
                except errors.RemoteEntryNotFoundError:
                    continue
        except errors.HFValidationError as error:
            raise ConfigError(
                f"model.encoder.checkpoint must be a folder or an id on the hub (owner/name); got {self.id}."
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ConfigError(
                f"model.encoder.revision must be a revision of {self.id} on the hub; got {self.revision}."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ConfigError(
                f"model.encoder.checkpoint must be a folder, or exist on the hub; got {self.id}. If access is restricted, "
                "log in with `hf auth login`."
            ) from error
        except (OSError, library("httpx").HTTPError) as error:
            at = f" --revision {self.revision}" if self.revision else ""
            raise ConfigError(
                f"model.encoder.checkpoint: {self.id} is incomplete in the hub's cache ({names[0]} is missing), and the hub "
                f"cannot be reached. Run `hf download {self.id}{at}` on a connected machine and copy its cache "
                "(the folder HF_HOME), or set model.encoder.checkpoint to a folder with the checkpoint's files."
            ) from error
        return None

    def _of_one_commit(self, path: str) -> Path:
        self.revision = Path(path).parent.name  # .../snapshots/<commit>/<file>
        return Path(path)


def _required(find: Find, name: str, checkpoint: str) -> Path:
    if (found := find(name)) is None:
        raise ConfigError(
            f"model.encoder.checkpoint must have {name}, which describes the encoder and its input; {checkpoint} has none."
        )
    return found


def _weight_files(find: Find, checkpoint: str, pickle: bool) -> list[Path]:
    """Return the files that hold the weights: one, or the parts that an index names."""
    found = find(SAFE, INDEX, *([PICKLE] if pickle else []))
    if found is None:
        raise ConfigError(
            f"model.encoder.checkpoint must have {SAFE}; {checkpoint} has none. If it has {PICKLE}, a pickle, "
            "model.encoder.pickle=true reads it (tensors only, no code); or set model.encoder.revision to one with "
            "safetensors, which the hub often has as a pull request (refs/pr/1)."
        )
    if found.name != INDEX:
        return [found]
    parts = _json(found).get("weight_map")
    if not isinstance(parts, dict) or any(Path(str(name)).name != name for name in parts.values()):
        raise ConfigError(f"{found} must name the parts of the weights, all in its folder. Fetch the checkpoint again.")
    return [_required(find, name, checkpoint) for name in sorted(set(parts.values()))]


# ---- what is in them


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:  # of JSON, or of UTF-8
        raise ConfigError(f"{path} must be JSON ({error}). Fetch the checkpoint again.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a JSON object; got {type(value).__name__}. Fetch the checkpoint again.")
    return value


def _sha256(files: Iterable[Path]) -> str:
    """Return the SHA-256 of one file, or of the digests of several."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _read_weights(files: Iterable[Path]) -> dict[str, Callable[[], Tensor]]:
    """Return a reader of each weight by name, so that only the weights that are used take memory."""
    safetensors = library("safetensors")
    readers: dict[str, Callable[[], Tensor]] = {}
    for path in files:
        try:
            if path.name == PICKLE:
                state = torch.load(path, map_location="cpu", weights_only=True)
                readers |= {name: lambda tensor=tensor: tensor for name, tensor in dict(state).items()}
            else:
                file = safetensors.safe_open(path, "pt")
                readers |= {name: lambda file=file, name=name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (
            safetensors.SafetensorError,
            pickles.UnpicklingError,
            RuntimeError,
            OSError,
            EOFError,
            TypeError,
        ) as error:
            raise ConfigError(f"{path} is damaged or incomplete ({error}). Fetch the checkpoint again.") from error
    return readers


def _own_weights(encoder: Encoder, readers: Mapping[str, Callable[[], Tensor]], checkpoint: str) -> dict[str, Tensor]:
    """Return the encoder's state from a checkpoint's weights, in float32."""
    expected = encoder.state_dict()
    prefix = next((p for p in encoder.prefixes if any(name.startswith(p) for name in readers)), "")
    state, unknown, misshapen = {}, [], []
    for name, read in readers.items():
        own = name.removeprefix(prefix)
        for old, new in RENAMED.items():
            own = own.removesuffix(old) + new if own.endswith(old) else own
        key = own if own in expected else f"net.{own}"
        if name.startswith(prefix) and key in expected:
            tensor = read()
            state[key] = tensor.float() if tensor.is_floating_point() else tensor
            if tensor.shape != expected[key].shape:
                misshapen.append(f"{name} {tuple(tensor.shape)} for {tuple(expected[key].shape)}")
        elif not own.startswith((*HEADS, "masked_spec_embed")):
            unknown.append(name)
    if "masked_spec_embed" in expected:  # missing from a checkpoint that was never masked
        state.setdefault("masked_spec_embed", torch.zeros(encoder.width))
    missing = sorted(prefix + key.removeprefix("net.") for key in expected.keys() - state.keys())
    problems = {"missing": missing, "of another shape": misshapen, "unknown": sorted(unknown)}
    if found := [f"{len(names)} {what}: {and_more(names, 4)}" for what, names in problems.items() if names]:
        raise ConfigError(
            f"model.encoder.checkpoint must have the weights of its config.json; {checkpoint} has {'; '.join(found)}."
        )
    return state
