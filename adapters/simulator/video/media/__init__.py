"""The segments that ship with the simulator, and the script that makes them."""
