"""Score a finished run again: from its predictions, its checkpoint, or under other conditions."""
