"""The policies of a replay, one file each: who answers KEDA's question. Their protocol: simulation/policy.py."""
