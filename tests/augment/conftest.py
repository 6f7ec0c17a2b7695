"""Every augmentation of conf/augment, as a command line makes it, and clips to try it on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from tests.composed import composed

CONF = Path(conf_dir(), "augment")
POLICIES = sorted(file.stem for file in CONF.glob("*.yaml") if file.read_text().startswith("# @package augment\n"))
NAMES = sorted({file.stem for file in CONF.glob("*.yaml")} - {*POLICIES})
MakeStep = Callable[..., nn.Module]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short recordings, at two rates, one of them in a folder below."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "below").mkdir()
    random = np.random.default_rng(0)
    soundfile.write(folder / "a.wav", 0.1 * random.standard_normal(4000), 16000)
    soundfile.write(folder / "below" / "b.flac", 0.01 * random.standard_normal(6000), 8000)
    return folder


@pytest.fixture(scope="session")
def make_step(recordings: Path) -> MakeStep:
    """``make_step("gain", probability=1.0)``: one augmentation with the settings of its file, or others."""

    def make(name: str, **settings: object) -> nn.Module:
        config = dict(composed(f"augment=[{name}]", f"++augment.{name}.folder={recordings}")["augment"][name])
        if not name.endswith(("folder", "responses")):
            del config["folder"]
        return instantiate({**config, **settings}, nn.Module)

    return make


def clips(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Noise of these lengths as waveforms, their lengths, and one-hot targets."""
    counts = torch.tensor(lengths)
    x = 0.1 * torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(seed))
    return x * (torch.arange(max(lengths)) < counts[:, None]), counts, torch.eye(max(8, len(lengths)))[: len(lengths)]


def frames(*lengths: int, bands: int = 20, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised features of these lengths, their lengths in frames, and one-hot targets."""
    counts = torch.tensor(lengths)
    x = torch.randn(len(lengths), bands, max(lengths), generator=torch.Generator().manual_seed(seed))
    beyond = torch.arange(max(lengths)) >= counts[:, None]
    return x.masked_fill(beyond[:, None], 0.0), counts, torch.eye(max(8, len(lengths)))[: len(lengths)]
