"""Compare finished runs: systems, leaderboard, tests, tables, pictures and pages."""
