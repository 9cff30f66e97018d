"""Training of the encoders that this project ships or adapts."""
