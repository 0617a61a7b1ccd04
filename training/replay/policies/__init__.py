"""The policies of a replay, one file each, listed in registry.py. Their protocol: simulation/policy.py."""
