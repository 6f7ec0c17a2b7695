"""Leave one speaker out: every speaker tests once; the next speaker, in the order of ids, is dev."""

import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers


class LeaveOneSpeakerOut:
    """One fold per speaker.

    Args:
        dev_speakers: Number of dev speakers: those that follow the test speaker in circular order.
    """

    name = "loso"

    def __init__(self, dev_speakers: int = 1) -> None:
        if dev_speakers < 1:
            raise SplitError(
                f"protocol.dev_speakers must be 1 or more, to select the model; got {dev_speakers}. Use the default, 1."
            )
        self.dev_speakers = dev_speakers

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per speaker."""
        speakers = sorted(manifest["speaker"].unique())
        needed = self.dev_speakers + 2
        if len(speakers) < needed:
            raise SplitError(
                f"protocol=loso requires at least {needed} speakers (test, dev, train); got {len(speakers)}: "
                f"{', '.join(speakers)}. For TESS, protocol=oaf_yaf trains on one speaker and tests on the other."
            )
        ring = speakers + speakers
        return [
            from_speakers(manifest, i, dev=set(ring[i + 1 : i + 1 + self.dev_speakers]), test={speaker})
            for i, speaker in enumerate(speakers)
        ]
