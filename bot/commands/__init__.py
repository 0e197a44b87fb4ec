"""What people can ask for, on every platform: the words, the one table of them, and what admins may do."""
