"""What people read: descriptions of datasets."""

from mining.report.inspect import inspect

__all__ = ["inspect"]
