"""``python -m ser.audit``: what the sides of a protocol's folds share, before anything is trained."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("audit")
def main(config: "DictConfig") -> None:
    """Audit the splits that the configuration makes."""
    import sys
    from pathlib import Path

    from rich.console import Console

    from ser.protocols.plan import planned
    from ser.protocols.split_file import write_splits
    from ser.report.audit import audit_report
    from ser.runtime.files import write_json

    plan = planned(config)
    findings = {fold: plan.audit(fold) for fold in range(len(plan.splits))}
    Console().print(audit_report(plan, findings))
    if config.out:
        found = [{"fold": fold, **finding.plain()} for fold, several in findings.items() for finding in several]
        write_json(found, Path(config.out).expanduser())
    if config.splits:
        write_splits(plan.splits, plan.labelled.manifest, Path(config.splits).expanduser(), plan.protocol)
    if any(finding.level == "error" for several in findings.values() for finding in several):
        sys.exit(1)


if __name__ == "__main__":
    main()
