"""Export of a trained model to a file that other programs run: ONNX, or a program of ``torch.export``."""
