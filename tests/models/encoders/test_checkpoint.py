"""Weights are all the encoder's and only those, whatever they were saved with; what is wrong is named."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ser.errors import ConfigError
from ser.models.encoders.checkpoint import build_encoder, fetch
from ser.models.encoders.encoder import library
from tests.checkpoints import MADE
from tests.models.encoders.conftest import Make

transformers = pytest.importorskip("transformers")

Weights = dict[str, Tensor]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(make_checkpoint: Make, tmp_path: Path) -> Path:
    """A checkpoint of one's own to spoil."""
    return Path(shutil.copytree(make_checkpoint("wav2vec2 base"), tmp_path / "wav2vec2-base"))


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> None:
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path)


def same(ours: Weights, theirs: Weights) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---- what is kept


@pytest.mark.parametrize("name", MADE)
def test_architecture_survives_json_and_a_checkpoint_and_loads_the_weights(name: str, make_checkpoint: Make) -> None:
    architecture, weights = fetch(str(make_checkpoint(name)))
    assert json.loads(json.dumps(architecture)) == architecture
    file = io.BytesIO()
    torch.save(architecture, file)
    file.seek(0)
    again = torch.load(file, weights_only=True)
    assert again == architecture
    encoder = build_encoder(again)
    encoder.load_state_dict(weights, strict=True)
    assert same(dict(encoder.state_dict()), weights)
    assert architecture == again, "building changes nothing in it"


@pytest.mark.parametrize("name", MADE)
def test_weights_equal_those_of_transformers(name: str, make_checkpoint: Make) -> None:
    net = transformers.AutoModel.from_pretrained(make_checkpoint(name))
    net = net.encoder if name.startswith("whisper") else net
    expected = {f"net.{key}": tensor for key, tensor in net.state_dict().items() if key != "masked_spec_embed"}
    _, weights = fetch(str(make_checkpoint(name)))
    learned = weights.pop("masked_spec_embed", None)
    assert same(weights, expected)
    assert learned is None if name.startswith("whisper") else torch.equal(learned, net.masked_spec_embed)


def test_architecture_does_not_reveal_local_paths(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"_name_or_path": str(folder), "torch_dtype": "float16"}
    (folder / "config.json").write_text(json.dumps(config))
    architecture, _ = fetch(str(folder))
    assert str(folder.parent) not in json.dumps(architecture)
    assert (architecture["checkpoint"], architecture["family"]) == ("wav2vec2-base", "wav2vec2")
    assert architecture["revision"] is None
    assert architecture["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_half_precision_weights_are_read_in_single_precision(folder: Path) -> None:
    _, single = fetch(str(folder))
    rewrite(folder, lambda weights: {name: tensor.half() for name, tensor in weights.items()})
    _, half = fetch(str(folder))
    assert {tensor.dtype for tensor in half.values()} == {torch.float32}
    assert same(half, {name: tensor.half().float() for name, tensor in single.items()})


def test_obsolete_settings_have_no_effect(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"gradient_checkpointing": True, "layerdrop": 0.5}
    (folder / "config.json").write_text(json.dumps(config))
    encoder = build_encoder(fetch(str(folder))[0])
    assert not any(block.gradient_checkpointing for block in encoder.blocks)
    assert encoder.net.config.layerdrop == 0


# ---- spellings


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("wav2vec2 base", "Wav2Vec2ForCTC"),
        ("wav2vec2 base", "Wav2Vec2ForPreTraining"),
        ("wav2vec2 large", "Wav2Vec2ForSequenceClassification"),
        ("hubert base", "HubertForCTC"),
        ("wavlm base", "WavLMForXVector"),
        ("wavlm large", "WavLMForAudioFrameClassification"),
        ("data2vec", "Data2VecAudioForCTC"),
        ("unispeech-sat", "UniSpeechSatForPreTraining"),
        ("whisper 80", "WhisperForConditionalGeneration"),
        ("whisper 80", "WhisperForAudioClassification"),
    ],
)
def test_heads_and_decoders_are_left_out(name: str, head: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint(name, head)
    _, weights = fetch(str(folder))
    net = getattr(transformers, head).from_pretrained(folder)
    net = net.get_encoder() if head == "WhisperForConditionalGeneration" else getattr(net, net.base_model_prefix, net)
    net = net.encoder if name.startswith("whisper") and hasattr(net, "encoder") else net
    weights.pop("masked_spec_embed", None)
    theirs = {f"net.{key}": tensor for key, tensor in net.state_dict().items() if key != "masked_spec_embed"}
    assert same(weights, theirs)


def test_both_spellings_of_weight_norm_are_read(folder: Path) -> None:
    _, new = fetch(str(folder))
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}

    def old(weights: Weights) -> Weights:
        for now, then in names.items():
            stem = "encoder.pos_conv_embed.conv."
            weights[stem + then] = weights.pop(stem + now)
        return weights

    rewrite(folder, old)
    assert same(fetch(str(folder))[1], new)


def test_indexed_parts_are_one_checkpoint(folder: Path) -> None:
    _, whole = fetch(str(folder))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, files = sorted(weights), ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    where = {name: files[i % 2] for i, name in enumerate(names)}
    for file in files:
        save_file({name: weights[name] for name in names if where[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    architecture, parts = fetch(str(folder))
    assert same(parts, whole)
    digests = "".join(hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files)
    assert architecture["sha256"] == hashlib.sha256(digests.encode()).hexdigest()
    (folder / files[1]).unlink()
    with pytest.raises(ConfigError, match=r"must have model-00002-of-00002.safetensors"):
        fetch(str(folder))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with pytest.raises(ConfigError, match="all in its folder"):
        fetch(str(folder))


def test_missing_mask_embedding_is_zero(folder: Path) -> None:
    rewrite(folder, lambda weights: {k: v for k, v in weights.items() if k != "masked_spec_embed"})
    assert not fetch(str(folder))[1]["masked_spec_embed"].any()


# ---- weights that do not fit


def test_missing_weights_are_counted_and_named(folder: Path) -> None:
    rewrite(folder, lambda weights: {k: v for k, v in weights.items() if "encoder.layers.2." not in k})
    with pytest.raises(ConfigError, match=r"wav2vec2-base has 16 missing: encoder\.layers\.2\.\S+, .* and 12 more\.$"):
        fetch(str(folder))


def test_unknown_weights_are_named(folder: Path) -> None:
    extra = {"encoder.layers.3.final_layer_norm.bias": torch.zeros(32), "lm_head.bias": torch.zeros(5)}
    rewrite(folder, lambda weights: weights | extra)
    with pytest.raises(ConfigError, match=r"wav2vec2-base has 1 unknown: encoder.layers.3.final_layer_norm.bias.$"):
        fetch(str(folder))


def test_unprefixed_encoder_beside_a_prefixed_one_is_unknown(make_checkpoint: Make, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(make_checkpoint("hubert base", "HubertForCTC"), tmp_path / "two"))
    rewrite(folder, lambda weights: weights | {"encoder.layer_norm.bias": torch.zeros(32)})
    with pytest.raises(ConfigError, match=r"1 unknown: encoder.layer_norm.bias.$"):
        fetch(str(folder))


def test_weights_of_another_shape_are_named_with_both_shapes(folder: Path) -> None:
    rewrite(folder, lambda weights: weights | {"encoder.layer_norm.bias": torch.zeros(31)})
    with pytest.raises(ConfigError, match=r"1 of another shape: encoder.layer_norm.bias \(31,\) for \(32,\)"):
        fetch(str(folder))


# ---- files that are not there, or damaged


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_missing_or_damaged_json_is_named(name: str, folder: Path) -> None:
    for text, message in (("{", f"{name} must be JSON"), ("[]", f"{name} must hold a JSON object")):
        (folder / name).write_text(text)
        with pytest.raises(ConfigError, match=message):
            fetch(str(folder))
    (folder / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(ConfigError, match=f"{name} must be JSON"):
        fetch(str(folder))
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"must have {name}, .*wav2vec2-base has none"):
        fetch(str(folder))


@pytest.mark.parametrize("keep", [0, 5, 1000, -7])
def test_truncated_weights_are_reported_as_damaged(keep: int, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"model.safetensors is damaged or incomplete"):
        fetch(str(folder))


def test_pickle_is_read_only_on_request(folder: Path) -> None:
    _, safe = fetch(str(folder))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"must have model.safetensors; .* has none. If it has pytorch_model.bin"):
        fetch(str(folder))
    architecture, weights = fetch(str(folder), pickle=True)
    assert same(weights, safe)
    assert architecture["sha256"] == hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    for content in (b"", b"no pickle", (folder / "pytorch_model.bin").read_bytes()[:-100]):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ConfigError, match=r"pytorch_model.bin is damaged"):
            fetch(str(folder), pickle=True)


class Harmful:
    """Its pickle calls a function when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("harmed"),)  # type: ignore[return-value]


def test_pickle_runs_no_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    torch.save({"a": Harmful()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"pytorch_model.bin is damaged"):
        fetch(".", pickle=True)
    assert not (folder / "harmed").exists()


@pytest.mark.parametrize("checkpoint", ["./nothing", "~/no such folder", "/no/such/folder"])
def test_missing_path_is_not_looked_up_on_the_hub(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match=f"must be a folder with config.json, .* got {checkpoint}"):
        fetch(checkpoint)


def test_folder_is_found_from_home_and_by_relative_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    expected, _ = fetch(str(folder))
    assert fetch("~/wav2vec2-base")[0] == expected
    monkeypatch.chdir(folder.parent)
    assert fetch("wav2vec2-base")[0] == fetch("./wav2vec2-base")[0] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "wav2vec2-bert"},
            "must be wav2vec2, hubert, .* got 'wav2vec2-bert'",
        ),
        ({"model_type": "bert"}, "got 'bert'"),
        ({"model_type": "no such"}, "wav2vec2-base, whose model_type is 'no such'"),
        ({"model_type": None}, "whose model_type is None"),
        ({"num_attention_heads": 5}, "embed_dim must be divisible by num_heads"),
        ({"num_hidden_layers": "three"}, "num_hidden_layers"),
        ({"conv_stride": [5, 2]}, "No encoder can be built"),
    ],
)
def test_unbuildable_architecture_is_refused(change: dict[str, object], message: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=message):
        fetch(str(folder))


def test_preprocessor_of_another_whisper_is_refused(make_checkpoint: Make) -> None:
    architecture, _ = fetch(str(make_checkpoint("whisper 80")))
    architecture["preprocessor"]["feature_size"] = 128
    with pytest.raises(ConfigError, match=r"must be 80, as in config.json; got 128"):
        build_encoder(architecture)
    with pytest.raises(ConfigError, match="silence must be at least 0 s; got -1"):
        build_encoder(fetch(str(make_checkpoint("whisper 80")))[0], silence=-1)


def test_missing_package_is_named() -> None:
    with pytest.raises(ConfigError, match=r"need the package no_such_one. Run pip install 'ser\[pretrained\]'"):
        library("no_such_one.inner")


# ---- the hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network: as HF_HUB_CACHE and HF_HUB_OFFLINE set it when they are read."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def fill(cache: Path, folder: Path, revision: str = "main") -> Path:
    """Lay a folder into the cache as the hub's client does: ``owner/tiny`` at one commit."""
    repository = cache / "models--owner--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / revision).write_text(COMMIT)
    return Path(shutil.copytree(folder, repository / "snapshots" / COMMIT))


def test_cached_checkpoint_needs_no_network(cache: Path, make_checkpoint: Make) -> None:
    fill(cache, make_checkpoint("wavlm base"))
    architecture, weights = fetch("owner/tiny")
    local, expected = fetch(str(make_checkpoint("wavlm base")))
    assert same(weights, expected)
    assert architecture == local | {"checkpoint": "owner/tiny", "revision": COMMIT}
    assert fetch("owner/tiny", revision=COMMIT)[0] == architecture


def test_revision_is_looked_up_by_name(cache: Path, make_checkpoint: Make) -> None:
    fill(cache, make_checkpoint("hubert base"), revision="refs-of-mine")
    assert fetch("owner/tiny", revision="refs-of-mine")[0]["revision"] == COMMIT
    with pytest.raises(ConfigError, match="owner/tiny is incomplete in the hub's cache"):
        fetch("owner/tiny")


def test_uncached_checkpoint_without_network_states_how_to_get_it(cache: Path, make_checkpoint: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"\(config.json is missing\).*`hf download owner/tiny`.*model.encoder.checkpoint"
    ):
        fetch("owner/tiny")
    with pytest.raises(ConfigError, match="`hf download owner/tiny --revision v1`"):
        fetch("owner/tiny", revision="v1")
    (fill(cache, make_checkpoint("hubert base")) / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"\(model.safetensors is missing\)"):
        fetch("owner/tiny")


def test_name_that_is_neither_folder_nor_id_is_refused(cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder or an id on the hub .* got a/b/c"):
        fetch("a/b/c")


def test_errors_of_the_hub_are_reported(monkeypatch: pytest.MonkeyPatch, cache: Path, make_checkpoint: Make) -> None:
    import httpx
    from huggingface_hub import errors

    response = httpx.Response(404, request=httpx.Request("GET", "https://example.org"))

    def refuse(error: Exception) -> Callable[..., str]:
        def download(*_: object, **__: object) -> str:
            raise error

        return download

    for error, message in (
        (
            errors.RepositoryNotFoundError("no", response=response),
            "must be a folder, or exist on the hub; got owner/tiny",
        ),
        (errors.GatedRepoError("no", response=response), "must be a folder, or exist on the hub; got owner/tiny"),
        (errors.RevisionNotFoundError("no", response=response), "must be a revision of owner/tiny on the hub; got v1"),
        (errors.RemoteEntryNotFoundError("no", response=response), "must have config.json, .* owner/tiny has none"),
        (httpx.ReadTimeout("slow"), "the hub cannot be reached"),
    ):
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse(error))
        with pytest.raises(ConfigError, match=message):
            fetch("owner/tiny", revision="v1")
    (fill(cache, make_checkpoint("hubert base")) / "model.safetensors").unlink()
    missing = errors.RemoteEntryNotFoundError("no", response=response)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse(missing))
    with pytest.raises(
        ConfigError, match=r"must have model.safetensors; owner/tiny has none. If it has pytorch_model.bin"
    ):
        fetch("owner/tiny")
