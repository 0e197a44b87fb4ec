"""The LiveKit rooms of simulated streams, and what stands in for them."""
