"""A run on one HTML page: offline, light and dark, on a phone, for a screen reader."""

from kft.report.page import write_report

__all__ = ["write_report"]
