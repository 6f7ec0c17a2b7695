"""The labels of a model of others as classes here, and its outputs as probabilities of these classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ser.corpora.synonyms import emotion_of, is_emotion
from ser.errors import ConfigError
from ser.protocols.stamps import LABELS_LEFT_OUT, NEVER_ANSWERED
from ser.runtime.words import and_more

Classes = tuple[str | None, ...]
"""The class of each label of a model; ``None`` of a label that is left out."""


def classes_of(labels: Sequence[str], classes: Sequence[str], given: Mapping[str, Any] | None = None) -> Classes:
    """Return the class that each label of a model stands for.

    A label is that of ``given``, or else a class by its name or a synonym (`ser.corpora.synonyms`). One that names another
    emotion is left out.

    Args:
        labels: In the order of the model's outputs.
        classes: Of the utterances.
        given: Classes by label; ``None`` leaves a label out.

    Raises:
        ConfigError: If a label is unknown, ``given`` is of other labels or classes, or fewer than two classes have a label.

    Example:
        >>> classes_of(["ang", "Happiness", "surprised"], ["angry", "happy"], {"ang": "angry"})
        ('angry', 'happy', None)
    """
    said = {str(label): chosen for label, chosen in (given or {}).items()}
    if strange := sorted(set(said) - set(labels)):
        raise ConfigError(f"labels_map must be of the labels {', '.join(labels)}; got {and_more(strange)}. Correct it.")
    if wrong := [str(chosen) for chosen in said.values() if chosen is not None and chosen not in classes]:
        raise ConfigError(f"labels_map must map to {', '.join(classes)}, or null; got {and_more(wrong)}. Correct it.")
    if unknown := [label for label in labels if label not in said and not _is_known(label, classes)]:
        raise ConfigError(
            f"The labels of the model must have names of emotions; got {and_more(unknown)}. Say which class each is: "
            f"labels_map={{{unknown[0]}: {classes[0]}, ...}}, or null for one to leave out."
        )
    found = [said[label] if label in said else emotion_of(label) for label in labels]
    chosen = tuple(name if name in classes else None for name in found)
    if len(answered := {name for name in chosen if name is not None}) < 2:
        raise ConfigError(
            f"The model must have labels for two of the classes {', '.join(classes)}; got {', '.join(labels)}, which are "
            f"{', '.join(sorted(answered)) or 'none of them'}. Set labels_map, or other labels."
        )
    return chosen


def _is_known(label: str, classes: Sequence[str]) -> bool:
    return emotion_of(label) in classes or is_emotion(label)


def label_stamps(labels: Sequence[str], of: Classes, classes: Sequence[str]) -> list[str]:
    """Return the stamps of what the labels and the classes do not share.

    Example:
        >>> label_stamps(["angry", "other"], ("angry", None), ["angry", "sad"])
        ['never answers: sad', 'labels left out: other']
    """
    never = [name for name in classes if name not in of]
    left = [label for label, name in zip(labels, of, strict=True) if name is None]
    return [
        f"{words}: {', '.join(names)}" for words, names in ((NEVER_ANSWERED, never), (LABELS_LEFT_OUT, left)) if names
    ]


def class_probabilities(logits: np.ndarray, of: Classes, classes: Sequence[str]) -> np.ndarray:
    """Return the probabilities of classes, those of labels that are left out shared among the others in proportion.

    Shapes:
        - logits: ``(utterance, label)``
        - returns: ``(utterance, class)`` float64; 0 for a class without a label

    Example:
        >>> class_probabilities(np.log([[0.2, 0.4, 0.4, 0.0001]]), ("a", "a", "b", None), ["a", "b", "c"]).round(6).tolist()
        [[0.6, 0.4, 0.0]]
    """
    from scipy.special import softmax  # late: slow to import

    kept = [at for at, name in enumerate(of) if name is not None]
    p = softmax(logits[:, kept].astype(np.float64), axis=1)
    member = np.array([[of[at] == name for name in classes] for at in kept], dtype=np.float64)  # (label, class)
    summed = p @ member
    shared: np.ndarray = summed / summed.sum(axis=1, keepdims=True)
    return shared
