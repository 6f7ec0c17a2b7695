"""What every model of ``conf/model`` holds to: a new file there is tested by being there."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ser.datamodules.batch import Batch
from ser.errors import ConfigError
from ser.models.classifier import SpeechClassifier
from ser.models.cnn import CNN
from tests.models.conftest import EIGHT, NAMES, MakeModel, training_of
from tests.numerics import EXACT, rounding

each_model = pytest.mark.parametrize("name", NAMES)


def waveforms(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def logits_of(model: SpeechClassifier, clips: list[Tensor], extra: int = 0) -> Tensor:
    """In one batch, with ``extra`` zeros more than it needs, in the precision of the model's weights."""
    padded = torch.nn.functional.pad(pad_sequence(clips, batch_first=True), (0, extra)).to(model.dtype)
    with torch.no_grad():
        out = model(padded, torch.tensor([len(clip) for clip in clips]))
    assert isinstance(out, Tensor)
    return out


def livened(model: SpeechClassifier) -> SpeechClassifier:
    """Away from the state of a fresh model, in which zero biases and unit statistics hide mistakes; in eval mode."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        model.normalise.mean.fill_(-6.0)
        model.normalise.deviation.fill_(2.5)
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith("running_mean"):
                buffer.add_(0.2 * torch.randn(buffer.shape, generator=generator))
            if buffer_name.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model.eval()


def quiet(model: SpeechClassifier) -> SpeechClassifier:
    """Usable without a trainer: nothing is logged."""
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return model


@each_model
@pytest.mark.parametrize("by", ["training", "utterance"])
def test_clip_alone_and_in_padded_batch_gets_the_same_logits(make_model: MakeModel, name: str, by: str) -> None:
    model = livened(make_model(name, f"normalise={by}")).double()
    clips = waveforms(16000, 15999, 12001, 7777, 4096, 1, 1023, 1025, 1281, 333)
    together = logits_of(model, clips, extra=3001)
    alone = torch.cat([logits_of(model, [clip]) for clip in clips])
    torch.testing.assert_close(together, alone, **EXACT)
    assert float((alone[:5] - alone[0]).abs().max()) > 1e-4, "the clips are told apart at all"


@each_model
def test_batch_order_does_not_matter(make_model: MakeModel, name: str) -> None:
    model = livened(make_model(name)).double()
    clips = waveforms(9000, 16000, 2000, 12345)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(logits_of(model, [clips[i] for i in order]), logits_of(model, clips)[order], **EXACT)


@each_model
def test_evaluation_is_deterministic(make_model: MakeModel, name: str) -> None:
    clips = waveforms(9000, 16000)
    model = livened(make_model(name))
    first, again = logits_of(model, clips), logits_of(model, clips)
    torch.testing.assert_close(first, again, atol=0, rtol=0)


@each_model
def test_augmentation_is_applied_in_training(make_model: MakeModel, name: str) -> None:
    model = quiet(make_model(name)).eval()  # no dropout: what chance there is comes from the augmentation
    clips = waveforms(9000, 16000)
    batch = Batch(pad_sequence(clips, batch_first=True), torch.tensor([9000, 16000]), *4 * [torch.arange(2)])
    with torch.no_grad():
        losses = {float(training_of(model, "augment=[warp,spec_augment,mixup]").training_step(batch)) for _ in range(4)}
    assert len(losses) > 1


@each_model
def test_every_parameter_gets_a_gradient(make_model: MakeModel, name: str) -> None:
    model = quiet(make_model(name, "augment=[]"))
    clips = waveforms(12000, 16000, 9000, 4000, 16000, 15000, 8000, 7000)
    batch = Batch(pad_sequence(clips, batch_first=True), torch.tensor([len(c) for c in clips]), *4 * [torch.arange(8)])
    before = {key: p.detach().clone() for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    training_of(model).training_step(batch).backward()
    # A gradient that is only rounding belongs to a parameter that the output does not depend on.
    dead = [k for k, p in model.named_parameters() if p.requires_grad and (p.grad is None or p.grad.abs().max() < 1e-6)]
    assert not dead
    optimizer.step()
    assert all(not torch.equal(before[key], p) for key, p in model.named_parameters() if p.requires_grad)


@each_model
def test_model_has_between_100_000_and_a_million_parameters(make_model: MakeModel, name: str) -> None:
    assert 100_000 <= sum(p.numel() for p in make_model(name).parameters()) <= 1_000_000


@each_model
def test_loss_equals_the_formula(make_model: MakeModel, name: str) -> None:
    counts = (40, 10, 20, 20, 7, 200, 20, 30)
    weights = [sum(counts) / (8 * count) for count in counts]
    model = quiet(make_model(name)).eval()
    training = training_of(model, "loss.label_smoothing=0.2", counts=dict(zip(EIGHT, counts, strict=True))).eval()
    clips = waveforms(9000, 16000, 4000)
    lengths = torch.tensor([9000, 16000, 4000])
    hard = torch.tensor([1, 4, 5])
    with torch.no_grad():
        padded, index = pad_sequence(clips, batch_first=True), torch.arange(3)
        given = float(training.training_step(Batch(padded, lengths, hard, index, index, index)))
    logits = logits_of(model, clips).double().numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    # 0.2 is spread over all eight classes; the rest stays with the true one.
    losses = [-(0.8 * row[k] + 0.2 * row.mean()) for row, k in zip(logs, hard.tolist(), strict=True)]
    expected = np.average(losses, weights=[weights[k] for k in hard.tolist()])
    # Three logarithms of sums over eight classes, of values below 10.
    assert given == pytest.approx(expected, abs=rounding(10, 2 * 8))


def test_certain_soft_targets_equal_hard_targets(make_model: MakeModel) -> None:
    training = training_of(quiet(make_model("cnn"))).eval()
    clips = waveforms(9000, 16000)
    padded, lengths, index = pad_sequence(clips, batch_first=True), torch.tensor([9000, 16000]), torch.arange(2)

    def loss(target: Tensor) -> float:
        with torch.no_grad():
            return float(training.training_step(Batch(padded, lengths, target, index, index, index)))

    one, two = torch.tensor([0, 3]), torch.tensor([6, 2])
    rows = torch.eye(8)
    assert loss(rows[one]) == pytest.approx(loss(one), abs=1e-6)
    assert loss((rows[one] + rows[two]) / 2) == pytest.approx((loss(one) + loss(two)) / 2, abs=1e-5)
    training.validation_step(Batch(padded, lengths, (0.7 * rows[one] + 0.3 * rows[two]), index, index, index))
    assert int(training.dev_confusion.compute().sum()) == 2


@each_model
def test_model_of_numbers_learns_in_standard_units_and_answers_in_its_own(make_model: MakeModel, name: str) -> None:
    scale = {"mean": [3.0, -1.0], "deviation": [0.5, 20.0]}
    model = quiet(make_model(name, classes=("arousal", "valence"), scale=scale)).eval()
    clips = waveforms(9000, 16000)
    padded, lengths, index = pad_sequence(clips, batch_first=True), torch.tensor([9000, 16000]), torch.arange(2)
    standard = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])  # as the data module gives 3.5 and -1, 2.5 and 19
    with torch.no_grad():
        outputs = model(padded, lengths)
        batch = Batch(padded, lengths, standard, index, index, index)
        loss = training_of(model, "loss=mse").eval().training_step(batch)
    answers = torch.tensor([3.0, -1.0]) + torch.tensor([0.5, 20.0]) * outputs.double()
    torch.testing.assert_close(model.probabilities(padded, lengths), answers)
    torch.testing.assert_close(loss, (outputs - standard).square().mean(), rtol=1e-4, atol=1e-5)


@each_model
def test_eight_clips_can_be_overfitted(make_model: MakeModel, name: str, demo_clips: list[Tensor]) -> None:
    model = quiet(make_model(name))
    training = training_of(model, "loss.label_smoothing=0")
    lengths = torch.tensor([len(c) for c in demo_clips])
    batch = Batch(pad_sequence(demo_clips, batch_first=True), lengths, *4 * [torch.arange(8)])
    model.normalise.fit([model.features(batch.waveform, batch.lengths)])
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    losses: list[float] = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = training.training_step(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < losses[0] / 2:
            return
    pytest.fail(f"the loss went from {losses[0]:.2f} to {losses[-1]:.2f} only")


@each_model
def test_bfloat16_gives_close_logits(make_model: MakeModel, name: str) -> None:
    model = livened(make_model(name))
    clips = waveforms(9000, 16000, 200)
    plain = logits_of(model, clips)
    with torch.autocast("cpu", torch.bfloat16):
        half = logits_of(model, clips)
    spread = float(plain.std())
    assert float((half.float() - plain).abs().max()) < 0.1 * spread + 0.05


@each_model
def test_model_is_rebuilt_from_plain_hyperparameters(make_model: MakeModel, name: str) -> None:
    model = make_model(name)
    buffer = io.BytesIO()
    torch.save({"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    again = type(model)(**saved["hyper_parameters"])
    again.load_state_dict(saved["state_dict"])
    assert again.classes == EIGHT
    assert again.audio == model.audio
    clips = waveforms(9000, 16000)
    torch.testing.assert_close(logits_of(again.eval(), clips), logits_of(model.eval(), clips), atol=0, rtol=0)


@each_model
def test_any_number_of_classes_and_bands_works(make_model: MakeModel, name: str) -> None:
    for bands in (33, 64):
        model = make_model(name, f"features.n_mels={bands}", classes=("angry", "sad", "neutral")).eval()
        assert logits_of(model, waveforms(5000, 2000)).shape == (2, 3)


def test_gradients_do_not_mix_clips(make_model: MakeModel) -> None:
    for name in NAMES:
        model = livened(make_model(name))
        clips = waveforms(6000, 9000)
        padded = pad_sequence(clips, batch_first=True).requires_grad_()
        if name == "bilstm":
            model.train()  # cuDNN asks for it; a CPU does not mind
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.eval()
        model(padded, torch.tensor([6000, 9000]))[1].sum().backward()
        assert padded.grad is not None
        assert not padded.grad[0].any()
        assert padded.grad[1].any()


def test_the_rate_rises_then_falls_to_zero(make_model: MakeModel) -> None:
    training = training_of(make_model("cnn"), "schedule.warmup=0.1")

    class Trainer:
        estimated_stepping_batches = 100

    training._trainer = Trainer()  # type: ignore[assignment]
    made = training.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    peak = training.optimizer["lr"]
    assert max(rates) == pytest.approx(peak)
    assert rates.index(max(rates)) in (9, 10)
    assert all(a < b for a, b in pairwise(rates[:10]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 0.01 * peak
    grouped = sum(len(group["params"]) for group in optimizer.param_groups)
    assert grouped == len(list(training.model.parameters()))
    assert all(p.ndim <= 1 for p in optimizer.param_groups[1]["params"])
    assert optimizer.param_groups[1]["weight_decay"] == 0


def test_features_without_a_size_are_refused() -> None:
    task = {"classes": EIGHT, "audio": {}, "features": torch.nn.Identity(), "normalise": {}}
    with pytest.raises(ConfigError, match=r"features must have an integer n_features.*Identity has none"):
        CNN(task)
