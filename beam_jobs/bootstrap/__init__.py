"""Rounds of mining, filtering and training."""
