"""From hazards to requirements, code, tests and the last measured figure, and what hangs loose."""
