"""Exports that serve: writing a version, proving it, and making it visible in one step.

Nothing here brings in Keras or TensorFlow: the writer and the check run in processes of their own.
"""

from kft.export.launch import check_version, export_run
from kft.export.versions import prune

__all__ = ["check_version", "export_run", "prune"]
