"""The paper's model: one network for speech and text."""
