"""`headway demo`: the real service on recorded demand and a fast clock.

command.py    the service, KEDA's calls and the clock
simulated.py  a Deployment under an HPA
view.py       the live table
data/         recorded workloads and their ScaledObjects
"""
