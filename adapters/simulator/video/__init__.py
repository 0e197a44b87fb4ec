"""The moving picture of a simulated avatar: HLS from prepared media."""
