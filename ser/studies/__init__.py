"""Studies: sweeps that answer one question, with the table and the picture that Hydra's callback makes at their end."""
