"""Real servers for tests: each module starts a throw-away one and stops it again."""
