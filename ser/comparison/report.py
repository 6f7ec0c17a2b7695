"""`Report`: what is drawn of a sweep's finished jobs, at its end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path


class Report(ABC):
    """What ``sweep.report`` names by ``_target_``."""

    @abstractmethod
    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write files into a sweep's folder, and print what they say.

        Args:
            folder: The sweep's.
            runs: Folders of its finished jobs.
        """
