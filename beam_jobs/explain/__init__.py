"""Why one pair was or was not mined."""
