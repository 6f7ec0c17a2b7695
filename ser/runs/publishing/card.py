"""The model card of the Hugging Face Hub, ``README.md``: what the run of a model says of it, read from the run's files.

Source of its metadata: https://huggingface.co/docs/hub/model-cards.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ser.errors import RunError
from ser.evaluation.measure import Measure, measure_in
from ser.evaluation.profile import profile
from ser.models.classifier import SpeechClassifier
from ser.protocols.limits import NOT_FOR
from ser.protocols.stamps import meaning, speakers_in_words
from ser.report.format import with_interval, writer
from ser.report.highlights import highlights
from ser.report.html import rendered
from ser.runs.card import declared_facts
from ser.runs.card_page import commands, limits
from ser.runs.folder import CONFIG, DEV_PREDICTIONS, PREDICTIONS, RunFolder
from ser.runs.identity import model_name
from ser.runtime.help_page import protocol_summary

TEMPLATE = Path(__file__).with_name("card.md.j2")
OTHER = "other"
LICENCES = {
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "CC BY-NC-ND 4.0": "cc-by-nc-nd-4.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC0 1.0": "cc0-1.0",
    "ODbL 1.0": "odbl",
    "GPL-3.0": "gpl-3.0",
}
"""Beginnings of what corpora state, and the Hub's identifiers."""
LANGUAGES = {
    **{"Chinese": "zh", "English": "en", "French": "fr", "German": "de", "Italian": "it", "Persian": "fa"},
    **{"Spanish": "es", "Urdu": "ur"},
}
"""Names and codes (ISO 639-1) of languages of corpora; those of others are left out of the metadata."""
TAGS = ("audio", "speech", "speech-emotion-recognition", "ser")


def written_card(model: SpeechClassifier, checkpoint: Path, name: str, licence: str | None) -> str:
    """Return the card of a model; see `ser.runs.publishing.publish.publish` for the arguments."""
    fold = _fold_of(checkpoint)
    config = None if fold is None else fold.config
    known = [dict(corpus) for corpus in model.trained_on]
    corpora = known if config is None else declared_facts(list(config["data"]["corpora"]), config)
    name_of_model = type(model).__name__ if config is None else model_name(config["model"])
    title = f"{name_of_model} on {_named(corpora)}" if corpora else name_of_model
    tested = fold if fold is not None and fold.is_finished else None
    values: dict[str, Any] = {
        "front": _front_matter(model, corpora, licence),
        "title": title,
        "name": name,
        "model": model,
        "corpora": corpora,
        "not_for": NOT_FOR,
        "stamps": list(dict.fromkeys([*model.stamps, *(tested.about["stamps"] if tested else [])])),
        "meaning": meaning,
        "config": config or {},
        "encoder": model.provenance().get("encoder"),
        "robustness": [],
        **({} if tested is None else _results(tested)),
        **({} if fold is None or tested is not None else {"sibling": fold.whole.sibling}),
    }
    if "sibling" in values:
        values["numbers"] = list(_of_sibling(values["sibling"] or {}))
    return rendered(TEMPLATE, values, lenient=True)


def _fold_of(checkpoint: Path) -> RunFolder | None:
    """Return the fold that a checkpoint is of; ``None`` of one that is not in a run's folder."""
    fold = RunFolder(checkpoint.resolve().parent.parent)
    return fold if fold.whole.has(CONFIG) else None


def _named(corpora: list[dict[str, Any]]) -> str:
    return " and ".join(str(corpus.get("title") or corpus["name"]) for corpus in corpora)


# ---- numbers


def _results(fold: RunFolder) -> dict[str, Any]:
    """Return what the tests of a fold, and of its whole run, say."""
    whole, about, measure = fold.whole, fold.about, measure_in(fold.metrics)
    beyond = _profile(fold)
    several = len(whole.folds) > 1 and whole.is_finished
    rows: list[tuple[str, Mapping[str, Any]]] = [("this model", fold.metrics)]
    rows += [(f"this model, {row['group']}", row) for row in _rows_by_corpus(beyond)]
    rows += [(f"models of all {len(whole.folds)} folds", whole.metrics)] if several else []
    suite = whole.suite("robustness") or {}
    return {
        "measure": measure,
        "write": writer(measure),
        "numbers": [(what, *_cells(row, measure)) for what, row in rows],
        "per_class": fold.metrics.get("per_class"),
        "speakers": _range(fold, measure),
        "speakers_in_words": partial(speakers_in_words, about["stamps"]),
        "highlights": list(highlights(beyond, about["stamps"], fold.dev_speakers)),
        "robustness": [("clean", *_cells(suite["clean"], measure)), *_conditions(suite, measure)] if suite else [],
        "about": about,
        "protocol_summary": protocol_summary(about["protocol"]),
        "limits": list(limits({"numbers": fold.metrics, "stamps": about["stamps"], "split": about["splits"]})),
        "commands": commands({"environments": [each for each in [fold.environment] if each]}),
        "left_out": len((whole.card or {}).get("left_out") or []),
    }


def _profile(fold: RunFolder) -> Mapping[str, Any]:
    """Return the statistics of one fold: those of its run, if that has no other."""
    whole = fold.whole
    if len(whole.folds) == 1 and whole.profile is not None:
        return whole.profile
    return profile(fold.predictions, fold.dev_predictions if fold.has(DEV_PREDICTIONS) else None)


def _rows_by_corpus(beyond: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = beyond["groups"]["corpus"]
    return rows if len(rows) > 1 else []


def _cells(row: Mapping[str, Any], measure: Measure) -> tuple[str, ...]:
    """Return the main score with its interval, and the size of what was scored, as far as a row has it."""
    interval, write = row.get(f"{measure.key}_interval") or {}, writer(measure)
    score = with_interval(row[measure.key], interval.get("low"), interval.get("high"), " %", write=write)
    others = [write(row[key]) if key in row else "" for key in measure.names if key != measure.key]
    return (score, *others, *(str(row.get(key, "")) for key in ("n_utterances", "n_speakers")))


def _range(fold: RunFolder, measure: Measure) -> dict[str, Any]:
    """Return the lowest and the highest score of a speaker, and whose they are."""
    if not fold.has(PREDICTIONS):
        raise RunError(f"There is no {fold.path / PREDICTIONS}, which holds what was tested. Give a finished run.")
    names, sums = measure.by_speaker(fold.predictions)
    scores = [float(score) for score in measure.statistic(sums)]
    low, high = scores.index(min(scores)), scores.index(max(scores))
    return {"low": scores[low], "lowest": names[low], "high": scores[high], "highest": names[high], "count": len(names)}


def _conditions(suite: Mapping[str, Any], measure: Measure) -> Iterator[tuple[str, ...]]:
    """Yield each condition of the robustness suite, with its score and its change from clean speech."""
    write = writer(measure)
    for row in suite["conditions"]:
        ends = row["change_interval"]
        change = with_interval(row["change"], ends["low"], ends["high"], " points", signed=True, write=write)
        yield row["condition"], _cells(row, measure)[0], change


def _of_sibling(sibling: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the row of the tested run that has the settings of a model that was not tested."""
    if sibling:
        yield "not tested; runs of the same settings on unknown speakers", *_cells(sibling, measure_in(sibling))


# ---- metadata


def _front_matter(model: SpeechClassifier, corpora: list[dict[str, Any]], licence: str | None) -> str:
    import yaml

    encoder = model.provenance().get("encoder")
    known = licence or _licence(corpora, pretrained=encoder is not None)
    spoken = [part for corpus in corpora for part in str(corpus.get("language", "")).split(", ")]
    named = str((encoder or {}).get("checkpoint", ""))
    front = {
        "license": known,
        **({"license_name": "those-of-the-recordings"} if known == OTHER else {}),
        "language": sorted({LANGUAGES[language] for language in spoken if language in LANGUAGES}),
        "library_name": "ser",
        "pipeline_tag": "audio-classification",
        "tags": [*TAGS, *([] if not any(corpus.get("synthetic") for corpus in corpora) else ["synthetic-speech"])],
        "datasets": [corpus["name"] for corpus in corpora],
        **({"base_model": named} if named.count("/") == 1 else {}),
    }
    kept = {key: value for key, value in front.items() if value}
    text: str = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    return text


def _licence(corpora: list[dict[str, Any]], *, pretrained: bool) -> str:
    """Return the Hub's identifier of the one licence that all recordings have; of a pretrained encoder's none is known."""
    stated = [str(corpus.get("licence", "")) for corpus in corpora]
    found = {next((code for text, code in LICENCES.items() if one.startswith(text)), OTHER) for one in stated}
    return found.pop() if len(found) == 1 and not pretrained else OTHER
