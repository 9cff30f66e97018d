"""Recordings become segments: decoding, detection of speech, candidates; and clips cut again."""
