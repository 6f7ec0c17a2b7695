"""What a run leaves on disk: its folder, its numbers, its card, and their verification."""
