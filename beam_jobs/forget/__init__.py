"""A recording, document or file leaves an output."""
