"""Callbacks against Lightning itself."""

import signal

import lightning as L
import pytest
import torch
from torch import nn

from ser.training.callbacks import KeepSigterm


class _Told(L.LightningModule):
    """A model whose process is told to end in its first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.batches = 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if not self.batches:
            signal.raise_signal(signal.SIGTERM)
        self.batches += 1
        return self.layer(batch).sum()


@pytest.mark.parametrize("handled", [True, False])
def test_sigterm_ends_training_unless_a_handler_was_installed(handled: bool) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, (lambda number, _: seen.append(number)) if handled else signal.SIG_DFL)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=1, callbacks=[KeepSigterm()], enable_model_summary=False, **quiet)
    model, batches = _Told(), torch.utils.data.DataLoader(torch.ones(4, 1))
    try:
        if handled:
            trainer.fit(model, batches)
        else:
            with pytest.raises(SystemExit):
                trainer.fit(model, batches)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (model.batches == 4) == handled
    assert seen == ([signal.SIGTERM] if handled else [])
