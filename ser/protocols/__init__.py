"""Protocols: which utterances train, tune and test. Speaker-independent unless a stamp on the result says otherwise."""
