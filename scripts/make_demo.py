"""Make the demo corpus, ``ser/corpora/assets/demo``: synthetic speech with scripted prosody, 10 voices, 6 emotions.

Run once from the repository's root: ``python scripts/make_demo.py``. It needs praat-parselmouth (GPL), whose built-in
eSpeak NG speaks and whose Praat sets pitch; the package itself never imports it. Seeded: a second run with the same
versions writes nothing.

The direction of each emotion's prosody follows Juslin & Laukka, 2003, https://doi.org/10.1037/0033-2909.129.5.770.
Takes scatter around it, and voices differ in how far they go, so that the emotions overlap as they do between people.
"""

import io
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import soundfile

try:
    import parselmouth
    from parselmouth.praat import call
except ImportError:
    sys.exit("make_demo.py needs praat-parselmouth: pip install praat-parselmouth")

FOLDER = Path("ser/corpora/assets/demo")
SEED = 20
SAMPLE_RATE = 16000
TAKES = (1, 2)
MAX_BYTES = 3_000_000
OPUS_LEVEL = 0.95  # soundfile's scale, where 1 is smallest; about 22 kbit/s for these clips
RMS_DB = -24.0  # speech peaks 13 to 22 dB above its mean power

SENTENCES = {
    "s1": "The train leaves at nine.",
    "s2": "Your letter is on the table.",
    "s3": "They moved all the chairs.",
    "s4": "We will be home by Monday.",
}


@dataclass(frozen=True)
class Voice:
    """A speaker: an eSpeak voice, made distinct by pitch in Hz, vocal-tract scale, rate, and tilt in dB per octave."""

    variant: str
    accent: str
    pitch: float
    formants: float
    rate: float
    tilt: float


@dataclass(frozen=True)
class Prosody:
    """What an emotion does to a neutral utterance.

    Attributes:
        pitch: Semitones above the voice's own pitch.
        span: Factor on the intonation's excursions.
        fall: Semitones lost from start to end, beyond eSpeak's own intonation.
        rate: Factor on the speaking rate.
        level: Gain in dB. Small: in recordings the level is as much the microphone's as the actor's.
        decay: Energy lost from start to end, in dB.
        tilt: dB per octave; positive is a tenser, brighter voice.
        tremor: Depth of a 6 Hz wobble of the pitch, in semitones.
        creak: Irregularity of the pitch from one 10 ms frame to the next, in semitones.
        breath: Aspiration noise relative to the speech's envelope.
        tract: Factor on the formants: a smile shortens the vocal tract, a retracted mouth lengthens it.
    """

    pitch: float = 0.0
    span: float = 1.0
    fall: float = 0.0
    rate: float = 1.0
    level: float = 0.0
    decay: float = 0.0
    tilt: float = 0.0
    tremor: float = 0.0
    creak: float = 0.1
    breath: float = 0.02
    tract: float = 1.0


VOICES = {
    "f01": Voice("Female2", "English (Great Britain)", 205, 1.00, 1.00, 0.0),
    "f02": Voice("Female3", "English (America)", 188, 0.96, 0.92, -0.6),
    "f03": Voice("Female5", "English (Great Britain)", 222, 1.04, 1.08, 0.4),
    "f04": Voice("Annie", "English (America)", 240, 1.00, 0.97, -0.2),
    "f05": Voice("Linda", "English (Scotland)", 196, 0.98, 1.05, 0.2),
    "m01": Voice("Male2", "English (Great Britain)", 108, 1.00, 1.00, 0.0),
    "m02": Voice("Male3", "English (America)", 122, 1.03, 1.07, 0.5),
    "m03": Voice("Robert", "English (Great Britain)", 97, 0.96, 0.93, -0.5),
    "m04": Voice("Michael", "English (America)", 131, 1.05, 1.03, 0.2),
    "m05": Voice("Mario", "English (Scotland)", 115, 0.98, 0.96, -0.3),
}

PROSODY = {
    "ang": Prosody(pitch=3.2, span=1.4, fall=2.0, rate=1.14, level=1.2, decay=3.0, tilt=3.4, creak=0.25, tract=1.01),
    "dis": Prosody(pitch=-1.4, span=1.2, fall=2.5, rate=0.88, level=-0.3, decay=5.0, tilt=1.0, creak=0.6, tract=0.93),
    "fea": Prosody(pitch=3.6, span=0.7, fall=-0.5, rate=1.20, level=-0.3, tilt=-1.0, tremor=0.8, breath=0.15),
    "hap": Prosody(pitch=3.2, span=1.7, fall=-2.5, rate=1.00, level=0.6, decay=-5.0, tilt=1.2, tract=1.08),
    "neu": Prosody(),
    "sad": Prosody(
        pitch=-1.6, span=0.5, fall=0.8, rate=0.80, level=-1.2, decay=3.0, tilt=-2.6, breath=0.09, tract=0.99
    ),
}

# One standard deviation of each field of `Prosody`: between two takes, and between two voices' ideas of one emotion.
TAKE_SCATTER = np.array([0.5, 0.10, 0.6, 0.03, 1.5, 0.8, 0.30, 0.10, 0.05, 0.010, 0.006])
VOICE_SCATTER = np.array([0.4, 0.10, 0.4, 0.03, 1.0, 0.5, 0.25, 0.10, 0.05, 0.010, 0.006])
EXPRESSIVENESS = (1.0, 1.35)


def played(voice: str, emotion: str, sentence: str, take: int) -> tuple[Prosody, np.random.Generator]:
    """Draw how a voice plays an emotion this time; with the generator for what is still random in the clip."""
    v, e, s = list(VOICES).index(voice), list(PROSODY).index(emotion), list(SENTENCES).index(sentence)
    expressiveness = np.random.default_rng([SEED, v]).uniform(*EXPRESSIVENESS)
    own = np.random.default_rng([SEED, v, e]).normal(size=len(VOICE_SCATTER)) * VOICE_SCATTER
    rng = np.random.default_rng([SEED, v, e, s, take])
    neutral, scripted = np.array(astuple(Prosody())), np.array(astuple(PROSODY[emotion]))
    values = neutral + expressiveness * (scripted - neutral) + own + rng.normal(size=len(own)) * TAKE_SCATTER
    pitch, span, fall, rate, level, decay, tilt, tremor, creak, breath, tract = values.tolist()
    tremor, creak, breath = max(tremor, 0.0), max(creak, 0.0), max(breath, 0.0)
    return Prosody(pitch, max(span, 0.2), fall, rate, level, decay, tilt, tremor, creak, breath, tract), rng


def speak(voice: Voice, text: str, prosody: Prosody) -> parselmouth.Sound:
    """Let eSpeak speak, and cut its silences. Formants are scaled by a change of clock, for which the rate makes up."""
    formants = voice.formants * prosody.tract
    synthesizer = call("Create SpeechSynthesizer", voice.accent, voice.variant)
    words_per_minute = 175 * voice.rate * prosody.rate / formants
    call(synthesizer, "Speech output settings", 22050.0, 0.01, 1.0, 1.0, words_per_minute, "IPA")
    values = call(synthesizer, "To Sound", text, "no")[0].values[0]
    loud = np.flatnonzero(np.abs(values) > 0.01 * np.abs(values).max())
    return parselmouth.Sound(values[loud[0] : loud[-1] + 1], sampling_frequency=22050 * formants)


def intone(sound: parselmouth.Sound, base: float, prosody: Prosody, rng: np.random.Generator) -> parselmouth.Sound:
    """Scale, move and shake the pitch contour (PSOLA). ``base`` is the voice's own pitch in Hz."""
    manipulation = call(sound, "To Manipulation", 0.01, 60, 500)
    contour = sound.to_pitch(0.01, 60, 500)
    time, hertz = contour.xs(), contour.selected_array["frequency"]
    time, hertz = time[hertz > 0], hertz[hertz > 0]
    # Clipped: an octave error of the tracker would be scaled as if it were intonation.
    excursion = np.clip(12 * np.log2(hertz / np.median(hertz)), -6, 6)
    semitones = prosody.pitch + prosody.span * excursion + prosody.fall * (0.5 - time / sound.duration)
    semitones += prosody.tremor * np.sin(2 * np.pi * (6 * time + rng.uniform()))
    semitones += prosody.creak * rng.normal(size=len(time))
    tier = call("Create PitchTier", "intonation", 0.0, sound.duration)
    for t, f in zip(time, base * 2 ** (semitones / 12), strict=True):
        call(tier, "Add point", float(t), float(f))
    call([manipulation, tier], "Replace pitch tier")
    return call(manipulation, "Get resynthesis (overlap-add)")


def shade(waveform: np.ndarray, tilt: float, prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """Give the waveform, ``(sample,)``, its aspiration, spectral tilt in dB per octave, energy contour and level."""
    envelope = np.sqrt(np.convolve(waveform**2, np.full(320, 1 / 320), "same"))
    waveform = waveform + prosody.breath * envelope * rng.normal(size=len(waveform))
    spectrum = np.fft.rfft(waveform)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE), 100) / 500)
    waveform = np.fft.irfft(spectrum * 10 ** (tilt * octaves / 20), len(waveform))
    waveform *= 10 ** (prosody.decay * np.linspace(0.5, -0.5, len(waveform)) / 20)
    waveform *= 10 ** ((RMS_DB + prosody.level) / 20) / np.sqrt(np.mean(waveform**2))
    return np.asarray(waveform * min(1.0, 0.9 / np.abs(waveform).max()))


def clip(voice: str, sentence: str, emotion: str, take: int) -> np.ndarray:
    """Make one clip, ``(sample,)`` at 16 kHz: 50 to 150 ms of a faint room on either side of the speech."""
    prosody, rng = played(voice, emotion, sentence, take)
    who = VOICES[voice]
    sound = intone(speak(who, SENTENCES[sentence], prosody), who.pitch, prosody, rng)
    waveform = shade(sound.resample(SAMPLE_RATE).values[0], who.tilt + prosody.tilt, prosody, rng)
    before, after = rng.integers(800, 2400, size=2)
    waveform = np.pad(waveform, (before, after))
    return waveform + 3e-4 * rng.normal(size=len(waveform))


def _crc_table() -> list[int]:
    """Tabulate Ogg's checksum: CRC-32 with polynomial 0x04c11db7, not reflected, from 0 (RFC 3533)."""
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = ((value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def ogg_opus(waveform: np.ndarray) -> bytes:
    """Encode a clip. The encoder draws the stream's serial number by the clock; it is set to 1, to have one result."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    data = bytearray(buffer.getvalue())
    start = 0
    while start < len(data):
        segments = data[start + 26]
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        data[start + 14 : start + 18] = (1).to_bytes(4, "little")
        data[start + 22 : start + 26] = bytes(4)
        crc = 0
        for byte in data[start:end]:
            crc = ((crc << 8) & 0xFFFFFFFF) ^ CRC_TABLE[(crc >> 24) ^ byte]
        data[start + 22 : start + 26] = crc.to_bytes(4, "little")
        start = end
    return bytes(data)


def make(folder: Path) -> dict[str, np.ndarray]:
    """Write the clips that are not there yet or differ, remove those that no longer belong; return all by name."""
    clips = {
        f"{voice}_{sentence}_{emotion}_{take}.ogg": clip(voice, sentence, emotion, take)
        for voice in VOICES
        for sentence in SENTENCES
        for emotion in PROSODY
        for take in TAKES
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for name, waveform in clips.items():
        path, data = folder / name, ogg_opus(waveform)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
            written += 1
    stray = [path for path in folder.glob("*.ogg") if path.name not in clips]
    for path in stray:
        path.unlink()
    print(
        f"{len(clips)} clips in {folder}: {written} written, {len(clips) - written} as they were, {len(stray)} removed"
    )
    return clips


def measure(folder: Path) -> None:
    """Print what Praat measures in the files: median pitch per voice and emotion, and each emotion's means."""
    facts: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for path in sorted(folder.glob("*.ogg")):
        waveform, _ = soundfile.read(path)
        voice, _, emotion, _ = path.stem.split("_")
        pitch = parselmouth.Sound(waveform, sampling_frequency=SAMPLE_RATE).to_pitch(0.01, 60, 500)
        hertz = pitch.selected_array["frequency"]
        semitones = 12 * np.log2(hertz[hertz > 0])
        span = float(np.percentile(semitones, 90) - np.percentile(semitones, 10))
        level = 10 * np.log10(np.mean(waveform**2))
        fact = (float(np.median(hertz[hertz > 0])), span, len(waveform) / SAMPLE_RATE, float(level))
        facts.setdefault((voice, emotion), []).append(fact)
    means = {key: np.mean(rows, axis=0) for key, rows in facts.items()}
    print("\nmedian pitch in Hz\n     " + "".join(f"{emotion:>7}" for emotion in PROSODY))
    for voice in VOICES:
        print(f"{voice:5}" + "".join(f"{means[voice, emotion][0]:7.0f}" for emotion in PROSODY))
    rows = {"pitch span, semitones": 1, "duration, s": 2, "level, dB": 3}
    print("\nmean over voices" + " " * 8 + "".join(f"{emotion:>7}" for emotion in PROSODY))
    for label, column in rows.items():
        values = [np.mean([means[voice, emotion][column] for voice in VOICES]) for emotion in PROSODY]
        print(f"{label:24}" + "".join(f"{value:7.2f}" for value in values))


def main() -> None:
    """Make the corpus, measure it, and print its size."""
    if not Path("ser").is_dir():
        sys.exit("make_demo.py writes to ser/corpora/assets/demo: run it from the repository's root.")
    clips = make(FOLDER)
    measure(FOLDER)
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    seconds = sum(len(waveform) for waveform in clips.values()) / SAMPLE_RATE
    print(f"\n{len(clips)} clips, {seconds / 60:.1f} minutes, {size:,} bytes with the README, at most {MAX_BYTES:,}")
    if size > MAX_BYTES:
        sys.exit("The demo corpus is too big: raise OPUS_LEVEL towards 1 or shorten the sentences.")


if __name__ == "__main__":
    main()
