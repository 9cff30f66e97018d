"""The stages: from files to rows, vectors, neighbours and pairs."""
