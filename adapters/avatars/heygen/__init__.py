"""What the two HeyGen clients share: the account and the error codes."""
