"""The chat API and the canned answers of the simulator."""
