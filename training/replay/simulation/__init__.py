"""The past, run again.

demand.py     demand, and what a metric server reported at any moment
start_up.py   how long pods take to start
scenario.py   one period of one series with its cluster: everything that all policies share
forecasts.py  what the scaler would have forecast at any moment, made in batches, kept in a cache
policy.py     the protocol of a policy
cluster.py    pods that start, and demand that is served, waits or is lost
loop.py       policy → KEDA and HPA → cluster, every 15 s
"""
