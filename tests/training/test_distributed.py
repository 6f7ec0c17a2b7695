"""Two processes share every batch: the numbers of one, every clip scored once, and one set of files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import ser
from ser.datamodules.buckets import LengthBuckets
from ser.errors import ConfigError, RunError
from ser.evaluation import predictions
from ser.models.norm import BatchNorm
from ser.protocols.plan import planned
from ser.runtime import distributed
from ser.sweeps import job
from ser.training import experiment
from ser.training.build import build_data, build_model, build_trainer
from ser.training.losses.ccc import CCC
from tests import forked
from tests.checkpoints import save_brisk
from tests.conftest import Settings
from tests.sweeps.cluster import until
from tests.training.test_experiment import FILES

TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
STILL = ("augment=[]", "callbacks=[early_stopping]", "trainer.max_epochs=3")
"""No noise, which each process has of its own."""


def what_each_is(fails: int | None, how: str) -> tuple[int, int]:
    """In a process of `launch`: what processes have of each other, unless one of them fails."""
    with distributed.joined({"strategy": "ddp", "accelerator": "cpu"}):
        mine = torch.tensor([distributed.process_rank() + 1.0], requires_grad=True)
        distributed.all_reduce_sum(mine * 2).sum().backward()
        assert mine.grad is not None
        assert mine.grad.item() == 4.0, "what each does to the sum of both, in both"
        assert distributed.on_first_process(distributed.process_rank) == 0
        with pytest.raises(ConfigError, match="of the first, 0"):
            distributed.on_first_process(an_error)
        if distributed.process_rank() == fails:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConfigError("not allowed")
        if how == "stubborn":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        if fails is not None:
            time.sleep(600)
        return distributed.world_size(), int(distributed.all_reduce_sum(mine).item())


def what_a_cluster_sends() -> str:
    """In a process of `launch`: it goes on."""
    for number in distributed.TO_A_JOB:
        os.kill(os.getpid(), number)
    return "returned"


@pytest.mark.slow
def test_signals_of_a_cluster_reach_only_a_process_that_handles_them() -> None:
    with pytest.raises(RunError, match="exit codes"):
        distributed.launch(2, what_a_cluster_sends)
    before = [signal.signal(number, lambda *_: None) for number in distributed.TO_A_JOB]
    try:
        assert distributed.launch(2, what_a_cluster_sends) == "returned"
    finally:
        for number, handler in zip(distributed.TO_A_JOB, before, strict=True):
            signal.signal(number, handler)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(distributed.TO_A_JOB)


SERVED = """\
import os, signal, time
from ser.runtime import distributed
signal.signal(signal.SIGTERM, lambda *_: None)
print(distributed.launch(2, os.getppid), flush=True)
distributed.launch(2, time.sleep, 600)
"""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    """Also ``False`` of one that has ended, and that nobody has asked about."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(distributed.METHOD != "forkserver", reason="Linux only")
def test_processes_end_with_their_launcher_and_not_by_signals_of_a_cluster() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVED], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        server = int(launcher.stdout.readline())
        until(lambda: len(children(server)) == 2)
        started = [server, *children(server)]
        for pid in started:
            os.kill(pid, signal.SIGTERM)
        time.sleep(2)
        assert [server, *children(server)] == started
        assert launcher.poll() is None
        assert all(lives(pid) for pid in started)
        launcher.kill()
        until(lambda: not any(lives(pid) for pid in started))


def an_error() -> None:
    raise ConfigError(f"of the first, {distributed.process_rank()}")


@pytest.mark.slow
def test_processes_share_sums_and_results_of_the_first() -> None:
    assert distributed.launch(2, what_each_is, None, "") == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "how", "error", "words"),
    [
        (1, "raises", ConfigError, "not allowed"),
        (1, "stubborn", ConfigError, "not allowed"),
        (1, "killed", RunError, r"Process 2 of 2 was killed \(SIGKILL\)"),
    ],
)
def test_a_failing_process_ends_all_and_says_why(fails: int, how: str, error: type[Exception], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=words):
        distributed.launch(2, what_each_is, fails, how)
    assert time.monotonic() - began < 300


@pytest.mark.slow
def test_two_processes_train_as_one(settings: Settings) -> None:
    still = (*STILL, "model=transformer", "model.dropout=0", "batch_size=9")  # 9 = 5 + 4, and the last batch is smaller
    alone = experiment.train(settings(*still))
    both = experiment.train(settings(*still, *TWO))
    assert {path.name for path in both.iterdir()} >= FILES
    one, two = (pd.read_csv(folder / "fold_0" / "metrics.csv") for folder in (alone, both))
    np.testing.assert_allclose(one, two, rtol=2e-4, atol=1e-6)  # float32 sums in another order, over three epochs
    for name in ("predictions", "dev_predictions"):
        tables = [predictions.read_predictions(folder / f"{name}.parquet") for folder in (alone, both)]
        assert tables[0]["utterance"].tolist() == tables[1]["utterance"].tolist()
        assert tables[1]["utterance"].is_unique
        probabilities = [table.filter(like=predictions.PREFIX).to_numpy() for table in tables]
        np.testing.assert_allclose(*probabilities, atol=2e-4)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (alone, both)]
    assert metrics[0]["uar"] == metrics[1]["uar"]
    assert [m["run"]["processes"] for m in metrics] == [1, 2]
    assert (alone / "split.json").read_text() == (both / "split.json").read_text()
    assert_resumes(settings(*still, *TWO), both)


def normed(norm: nn.BatchNorm2d, maps: Tensor, weight: Tensor) -> list[Tensor]:
    """The output, the gradients, and the running statistics."""
    maps = maps.clone().requires_grad_()
    out = norm(maps)
    (out * weight).sum().backward()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [out.detach(), maps.grad, norm.weight.grad, norm.running_mean, norm.running_var]  # type: ignore[list-item]


def norms_of_shares() -> list[list[Tensor]]:
    """In a process of `launch`: batch norm of 9 clips, and of this process's 5 or 4 of them beside it."""
    torch.manual_seed(0)
    maps, weight = 3 * torch.randn(9, 4, 5, 6) + 2, torch.randn(9, 4, 5, 6)
    whole = normed(nn.BatchNorm2d(4), maps, weight)
    with distributed.joined({"strategy": "ddp", "accelerator": "cpu"}):
        mine = slice(distributed.process_rank(), None, 2)
        shares = normed(BatchNorm(4), maps[mine], weight[mine])
        shares[2] = distributed.all_reduce_sum(shares[2])
    return [[whole[0][mine], whole[1][mine], *whole[2:]], shares]


@pytest.mark.slow
def test_batch_norm_of_a_shared_batch_equals_that_of_the_whole_batch() -> None:
    whole, shares = distributed.launch(2, norms_of_shares)
    for one, two in zip(whole, shares, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


def concordance_of_shares() -> list[list[Tensor]]:
    """In a process of `launch`: the loss of 9 clips, and of this process's share of them, with their gradients."""
    torch.manual_seed(0)
    target, outputs = torch.randn(2, 9, 3, dtype=torch.float64)
    whole = outputs.clone().requires_grad_()
    one = CCC({})(whole, target)
    one.backward()
    with distributed.joined({"strategy": "ddp", "accelerator": "cpu"}):
        mine = slice(distributed.process_rank(), None, 2)
        share = outputs[mine].clone().requires_grad_()
        two = CCC({})(share, target[mine])
        two.backward()
    assert whole.grad is not None
    assert share.grad is not None
    return [[one.detach(), whole.grad[mine]], [two.detach(), share.grad / 2]]  # the trainer averages gradients


@pytest.mark.slow
def test_concordance_loss_of_a_shared_batch_equals_that_of_the_whole_batch() -> None:
    whole, shares = distributed.launch(2, concordance_of_shares)
    for one, two in zip(whole, shares, strict=True):
        torch.testing.assert_close(one, two)


def assert_resumes(config: dict[str, Any], whole: Path) -> None:
    """Stop a training and resume it: the predictions are those of a run that was not stopped."""
    stopped = whole.parent / "stopped"
    config = {**config, "paths": {**config["paths"], "run": str(stopped)}}
    assert distributed.launch(2, stop_in_the_second_epoch, config) == "stopped"
    assert not (stopped / "metrics.json").exists()
    again = experiment.train({**config, "ckpt": "last"})
    tables = [predictions.read_predictions(folder / "predictions.parquet") for folder in (whole, again)]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.slow
def test_sharded_weights_train_as_unsharded_ones(settings: Settings, tmp_path: Path) -> None:
    checkpoint = save_brisk(tmp_path / "checkpoint", "whisper 80", dropout=0.0)
    tuned = (
        "model=whisper",
        f"model.encoder.checkpoint={checkpoint}",
        "model.finetune.layers=all",
        "model.head.dropout=0",
        "model.head.count=2",
        "model.head.hidden=16",
    )
    config = settings(*STILL, *tuned, "trainer=fsdp", *TWO[1:])
    held, spread = experiment.train(settings(*STILL, *tuned, *TWO)), experiment.train(config)
    one, two = (pd.read_csv(folder / "fold_0" / "metrics.csv") for folder in (held, spread))
    np.testing.assert_allclose(one, two, rtol=2e-4, atol=1e-6)
    tables = [predictions.read_predictions(folder / "predictions.parquet") for folder in (held, spread)]
    np.testing.assert_allclose(*(t.filter(like=predictions.PREFIX).to_numpy() for t in tables), atol=2e-4)
    alone = [ser.load(folder).model.state_dict() for folder in (held, spread)]
    assert alone[0].keys() == alone[1].keys()
    assert_resumes(config, spread)


def test_sharding_refuses_small_models_and_averaging(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.averaging=null"):
        build_trainer(settings("trainer=fsdp"), tmp_path, [], L.Callback())
    config = settings("model=cnn")
    data = build_data(config, planned(config), 0)
    with pytest.raises(ConfigError, match="Use trainer=ddp"):
        build_model(config, data).shards()


def stop_in_the_second_epoch(config: Mapping[str, Any]) -> str:
    """In a process of `launch`: a training that something ends after its second epoch began."""
    set_epoch = LengthBuckets.set_epoch

    def stop(sampler: LengthBuckets, epoch: int) -> None:
        if epoch == 2:
            raise ProcessLookupError("stands for whatever ends a process")
        set_epoch(sampler, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LengthBuckets, "set_epoch", stop)
        with pytest.raises(ProcessLookupError):
            experiment.train(config)
    return "stopped"


@pytest.mark.slow
def test_two_processes_train_all_folds_with_a_tracker(settings: Settings) -> None:
    still = (*STILL, "model.dropout=0", "protocol.folds=3", "trainer.max_epochs=1")
    alone = experiment.train(settings(*still, "logger=tensorboard"))
    folder = experiment.train(settings(*TWO, *still, "fold=all", "logger=tensorboard"))
    losses = [pd.read_csv(run / "fold_0" / "metrics.csv")["train_loss"].item() for run in (alone, folder)]
    # What rounds differently is on the other side of a ReLU, or another of a pool, here and there: as loose as the same batch
    # in another order is.
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
    table = predictions.read_predictions(folder / "predictions.parquet")
    assert len(table) == 36
    assert table["utterance"].is_unique
    files = [
        len(list((run / "tensorboard").iterdir())) for run in (alone / "fold_0", folder / "fold_0", folder / "fold_2")
    ]
    assert files[0] == files[1] == files[2], "the first process alone tells the tracker"


@pytest.mark.slow
def test_torchrun_starts_the_processes(settings: Settings, tmp_path: Path, tiny_demo: Path, stores: Path) -> None:
    small = ("trainer.max_epochs=1", "logger=csv", *TWO)
    mine = experiment.train(settings(*small))
    where = [f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}", "paths.runs=started"]
    same = [f"batch_size={settings()['batch_size']}", "protocol.folds=3"]
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ser.train"]
    done = subprocess.run([*line, *small, *where, *same], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder: ") == 2, "one of them speaks, when it begins and at its end"
    (folder,) = (tmp_path / "started").iterdir()
    tables = [predictions.read_predictions(run / "predictions.parquet") for run in (mine, folder)]
    np.testing.assert_allclose(*(t.filter(like=predictions.PREFIX).to_numpy() for t in tables), atol=1e-5)


@pytest.mark.slow
def test_sweep_job_starts_its_own_processes(settings: Settings, tiny_demo: Path, stores: Path) -> None:
    small = (*TWO, "trainer.max_epochs=1", "protocol.folds=3", "batch_size=8")
    mine = experiment.train(settings(*small))
    where = [f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}", "sweep.report=null", "logger=csv"]
    done = forked.run(["ser.train", "-m", *small, *where, "fold=0,9"], Path.cwd(), os.environ)
    assert done.returncode == 1, "there is no fold 9"
    assert "1 of 2 jobs are done" in done.stderr
    assert "fold must be 0 to 2" in done.stderr
    assert "Traceback" not in done.stderr
    folders = {folder.parent.name.split("-")[3]: folder.parent for folder in Path("multirun").glob("*/*/job.json")}
    assert job.read_record(folders["fold0"]).attempts[-1]["seconds"].keys() >= {
        "start",
        "training",
        "scoring",
        "report",
    }
    tables = [predictions.read_predictions(run / "predictions.parquet") for run in (mine, folders["fold0"])]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.devices=2"], "trainer=ddp"),
        (["trainer=ddp", "trainer.devices=0"], "trainer.devices must be an integer of 1 or more"),
        ([*TWO, "trainer.num_nodes=2"], r"trainer\.num_nodes must be 1 without torchrun or srun; got 2"),
    ],
)
def test_wrong_settings_of_several_processes_are_named(settings: Settings, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        experiment.train(settings(*overrides))


def test_torchrun_without_a_strategy_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(distributed.STARTED, "x")
    with pytest.raises(ConfigError, match="Add trainer=ddp"):
        experiment.train(settings())


def test_srun_without_ntasks_per_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (distributed.STEP, "SLURM_NTASKS"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    with pytest.raises(ConfigError, match="--ntasks-per-node"):
        distributed.cluster_environment()


@pytest.mark.parametrize(("clips", "batch_size", "words"), [(9, 1, "batch_size=1 is"), (1, 4, "A side of 1 clip is")])
def test_too_few_clips_for_the_processes_are_refused(clips: int, batch_size: int, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{words} too few for 2 processes"):
        LengthBuckets(torch.ones(clips), batch_size, shuffle=True, shares=2)


@pytest.mark.parametrize("shares", [1, 2, 3, 5])
@pytest.mark.parametrize("clips", [5, 16, 17, 18, 19, 23])
@pytest.mark.parametrize("batch_size", [5, 6, 8])
def test_batches_are_shared_without_empty_shares_or_lost_clips(clips: int, batch_size: int, shares: int) -> None:
    lengths = torch.arange(clips) + 100
    for shuffle in (False, True):
        batches = list(LengthBuckets(lengths, batch_size, shuffle=shuffle, shares=shares))
        assert sorted(position for batch in batches for position in batch) == list(range(clips))
        assert min(len(batch) for batch in batches) >= shares
