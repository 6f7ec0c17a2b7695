"""Hydra's side of `ser.sweeps`: sweepers, found by Hydra in this namespace."""
