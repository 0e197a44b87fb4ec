"""What the commands of the shell do. `bot.cli.main` is what can be typed; this is what happens then."""
