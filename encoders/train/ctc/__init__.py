"""The trainer of the small recogniser whose letters are audio tokens."""
