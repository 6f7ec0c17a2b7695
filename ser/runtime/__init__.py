"""What every room stands on: atomic files, devices, processes, configuration, import paths."""
