"""Functions of batches of waveforms: noise, rooms, rates, filters and codecs, for augmentation, cleaning and robustness.

A batch is ``(waveform, lengths)``: ``(batch, sample)`` float32 with full scale = 1 and zeros beyond each clip's length, and
``(batch,)`` in samples. Padding never changes a clip. What is random is drawn by the caller.
"""
