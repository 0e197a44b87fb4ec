"""What a simulated avatar says and when: timeline, word timestamps, captions."""
