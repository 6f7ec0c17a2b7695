"""What no result of a model is for, in words that every card, table, answer and page shares."""

DECISIONS = "decisions about people, such as in employment, education, health or policing"
NOT_FOR = f"Not for {DECISIONS}."
