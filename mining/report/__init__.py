"""What people read: descriptions of datasets."""

from mining.report.hubness import Hubness, hubness
from mining.report.inspect import inspect

__all__ = ["Hubness", "hubness", "inspect"]
