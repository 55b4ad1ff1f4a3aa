"""`make bench`: what this machine can do, what peers do on it, and what the product does, measured in one run."""
