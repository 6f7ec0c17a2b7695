"""Make the toy model, ``ser/runs/assets/toy.ckpt``: a small CNN, trained on the synthetic speech of the demo.

Run once from the repository's root: ``python scripts/make_toy.py``. It lets `ser.load`, ``make predict`` and ``make serve``
work at once, and is stamped as a toy wherever it answers.
"""

import tempfile

import torch

import ser
from ser.models.checkpoint import read_checkpoint
from ser.protocols.stamps import TOY
from ser.runs.folder import TOY_FILE, checkpoint_of

SETTINGS = ("fold=final", "model=light_cnn", "features.hop_ms=32", "trainer.max_epochs=40", "seed=0", "logger=csv")


def main() -> None:
    """Train it, and keep what a prediction needs."""
    with tempfile.TemporaryDirectory() as runs:
        run = ser.train(*SETTINGS, f"paths.runs={runs}", "trainer.accelerator=cpu")
        checkpoint = read_checkpoint(checkpoint_of(run.path))
    task = checkpoint["hyper_parameters"]["task"]
    task["stamps"] = [TOY, *task["stamps"]]
    TOY_FILE.parent.mkdir(exist_ok=True)
    torch.save(checkpoint, TOY_FILE)
    print(f"{TOY_FILE}: {TOY_FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
