"""What makes the files of a picture (`bot.core.pictures`), one package for each way; they know no provider, no platform
and not each other."""
