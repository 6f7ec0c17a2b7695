"""``python -m ser.audit``: what the sides of a protocol's folds share, before anything is trained."""

import sys
from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.protocols.audit import Finding
    from ser.protocols.plan import Plan


@command("audit")
def main(config: "DictConfig") -> None:
    """Print what is found in the splits that the configuration makes; exit with 1 if training would refuse one."""
    from rich.console import Console

    from ser.report.audit import audit_report

    plan, findings = audited(config)
    Console().print(audit_report(plan, findings))
    if any(finding.level == "error" for several in findings.values() for finding in several):
        sys.exit(1)


def audited(config: "DictConfig") -> "tuple[Plan, dict[int, list[Finding]]]":
    """Return the folds and what is found in each, written to the files that the configuration names."""
    from pathlib import Path

    from ser.protocols.plan import planned
    from ser.protocols.split_file import write_splits
    from ser.runtime.files import write_json

    plan = planned(config)
    findings = {fold: plan.audit(fold) for fold in range(len(plan.splits))}
    if config.out:
        found = [{"fold": fold, **finding.plain()} for fold, several in findings.items() for finding in several]
        write_json(found, Path(config.out).expanduser())
    if config.splits:
        write_splits(plan.splits, plan.labelled.manifest, Path(config.splits).expanduser(), plan.protocol)
    return plan, findings


if __name__ == "__main__":
    main()
