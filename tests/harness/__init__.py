"""What runs the bot, its clock and the world around it in tests."""
