"""Thin Beam pipelines over the pure functions of ``mining`` and ``encoders``, and the command line."""
