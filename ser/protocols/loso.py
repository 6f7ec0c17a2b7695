"""Leave one speaker out: every speaker tests once; the next speaker, in the order of ids, is dev."""

import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers


class LeaveOneSpeakerOut:
    """One fold a speaker.

    Args:
        dev_speakers: How many speakers, following the tested one in a circle, are dev.
    """

    name = "loso"

    def __init__(self, dev_speakers: int = 1) -> None:
        if dev_speakers < 1:
            raise SplitError(
                f"protocol.dev_speakers is {dev_speakers}, but somebody has to choose the model: 1 at least."
            )
        self.dev_speakers = dev_speakers

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        speakers = sorted(manifest["speaker"].unique())
        needed = self.dev_speakers + 2
        if len(speakers) < needed:
            raise SplitError(
                f"protocol=loso needs {needed} speakers (test, dev, train); these are {len(speakers)}: "
                f"{', '.join(speakers)}. For TESS, protocol=oaf_yaf trains on one and tests on the other."
            )
        ring = speakers + speakers
        return [
            from_speakers(manifest, i, dev=set(ring[i + 1 : i + 1 + self.dev_speakers]), test={speaker})
            for i, speaker in enumerate(speakers)
        ]
