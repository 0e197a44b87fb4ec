"""Logs, the redactor under them, and metrics."""
