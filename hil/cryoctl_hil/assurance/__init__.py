"""Programs that show what the safety case claims, each with figures, and the scoreboard of them."""
