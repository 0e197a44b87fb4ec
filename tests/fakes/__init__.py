"""Local platforms that the real client libraries talk to in tests."""
