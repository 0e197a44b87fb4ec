"""What the core is plugged into: avatar providers, chat platforms, the web. Each adapter knows one outside world."""
