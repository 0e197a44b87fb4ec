"""The provider's side of a session: its stream, the catalogue, the bridge to the pages in its room."""
