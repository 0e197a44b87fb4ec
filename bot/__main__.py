"""`python -m bot` is `avatar-relay`."""

from bot.cli.main import main

if __name__ == "__main__":
    main()
