"""Exports for serving: a version is written, checked, and made visible in one step.

Nothing here imports Keras or TensorFlow: the writer and the check run in separate processes.
"""

from kft.export.deployment import deploy
from kft.export.launch import check_version, export_run
from kft.export.versions import prune

__all__ = ["check_version", "deploy", "export_run", "prune"]
