"""Values and contracts: models, events, views, ports, errors, clock. Nothing here imports what lies above it."""
