"""`headway demo`: the real service on recorded and generated demand and a fast clock.

command.py    the service and the clock
workload.py   KEDA's calls for one workload, and what follows from the answers
simulated.py  a Deployment under an HPA
schedule.py   the demand of a workload that opens on weekdays at 06:00
opening.py    how well both Deployments were prepared for it
view.py       the live table
data/         recorded workloads, and the ScaledObjects of all
"""
