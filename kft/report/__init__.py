"""A run on one HTML page: offline, light and dark, for phones and screen readers."""

from kft.report.page import write_report

__all__ = ["write_report"]
