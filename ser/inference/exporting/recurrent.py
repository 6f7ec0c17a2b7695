"""An LSTM of one direction as one operator of ONNX: torch's own cannot be exported with a length that varies."""

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

GATES = (0, 3, 1, 2)
"""Of torch (input, forget, cell, output) in the order of ONNX (input, output, forget, cell)."""


@torch.library.custom_op("ser::lstm", mutates_args=())
def lstm(x: Tensor, w: Tensor, r: Tensor, wb: Tensor, rb: Tensor) -> Tensor:
    """Return the states of an LSTM.

    Shapes:
        - x: ``(batch, frame, feature)``
        - w, r: ``(4 * hidden, feature)`` and ``(4 * hidden, hidden)``, in the order of torch; ``wb``, ``rb``: their biases
        - returns: ``(batch, frame, hidden)``
    """
    start = [x.new_zeros(1, len(x), r.shape[1]) for _ in range(2)]
    states: Tensor = torch.lstm(x, start, [w, r, wb, rb], True, 1, 0.0, False, False, True)[0]
    return states


@lstm.register_fake
def _(x: Tensor, w: Tensor, r: Tensor, wb: Tensor, rb: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], r.shape[1])


class ExportableLSTM(nn.Module):
    """An LSTM of one layer and one direction, batch first, with the weights of torch's."""

    def __init__(self, of: nn.LSTM) -> None:
        super().__init__()
        self.weights = nn.ParameterList([of.weight_ih_l0, of.weight_hh_l0, of.bias_ih_l0, of.bias_hh_l0])

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return lstm(x, *self.weights), None


def exportable_lstm(part: nn.Module) -> ExportableLSTM | None:
    """Return what takes the place of an LSTM of one layer and one direction; others stay, and cannot be exported."""
    return ExportableLSTM(part) if isinstance(part, nn.LSTM) and _is_plain(part) else None


def translations() -> dict[Any, Any]:
    """Return how the operators here are written in ONNX."""
    from onnxscript import opset18 as op  # late: an extra

    def gates(values: Any) -> Any:
        parts = op.Split(values, num_outputs=4, axis=0)
        return op.Concat(*(parts[i] for i in GATES), axis=0)

    def lstm_in_onnx(x: Any, w: Any, r: Any, wb: Any, rb: Any) -> Any:
        first: Any = op.Constant(value_ints=[0])
        second: Any = op.Constant(value_ints=[1])
        weights = [
            op.Unsqueeze(values, first) for values in (gates(w), gates(r), op.Concat(gates(wb), gates(rb), axis=0))
        ]
        states, _, _ = op.LSTM(op.Transpose(x, perm=[1, 0, 2]), *weights, hidden_size=r.shape[1])
        return op.Transpose(op.Squeeze(states, second), perm=[1, 0, 2])

    return {torch.ops.ser.lstm.default: lstm_in_onnx}


def _is_plain(net: nn.LSTM) -> bool:
    return net.num_layers == 1 and not net.bidirectional and net.batch_first and net.bias and not net.proj_size
