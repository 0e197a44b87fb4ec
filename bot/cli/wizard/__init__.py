"""`avatar-relay init`: asks for what a bot needs, checks each answer, and writes `.env`."""
