"""The contract between stages: schemas, ids, languages, protocols and errors. Imports nothing above."""
