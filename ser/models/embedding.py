"""What a model's outputs are made from: the input of its last linear layer."""

import threading

from torch import Tensor, nn

from ser.errors import ConfigError
from ser.models.classifier import SpeechClassifier


def last_layer(model: SpeechClassifier) -> nn.Linear:
    """Return the last linear layer of a model.

    Raises:
        ConfigError: If it has none with its number of outputs.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(model.classes)]
    if not layers:
        raise ConfigError(
            f"The model must end in a linear layer of {len(model.classes)} outputs; {type(model).__name__} does not."
        )
    return layers[-1]


def below_outputs(model: SpeechClassifier, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of normalised features, and what they are made from.

    That is the input of the last linear layer, or the vector that a model without gradients gets. Several threads may do
    so at a time.

    Shapes:
        - features: ``(batch, feature, frame)``
        - lengths: ``(batch,)`` in frames
        - returns: ``(batch, class)`` and ``(batch, unit)``

    Raises:
        ConfigError: If no layer has as many outputs as there are classes, or it gets something else than one vector a clip.
    """
    if not model.by_gradients:
        return model.classify(features, lengths), features[..., 0]
    caught: list[Tensor] = []
    here = threading.get_ident()

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == here:
            caught.append(inputs[0])

    hook = last_layer(model).register_forward_pre_hook(catch)
    try:
        logits = model.classify(features, lengths)
    finally:
        hook.remove()
    if not caught or caught[-1].ndim != 2:
        raise ConfigError(f"The last linear layer of {type(model).__name__} must get one vector a clip; it does not.")
    return logits, caught[-1]
