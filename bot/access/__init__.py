"""Who may do what, and how much a day may cost."""
