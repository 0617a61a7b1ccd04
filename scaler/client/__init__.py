"""A typed client of the HTTP API, for programs of users:

    from scaler.client import Client

    with Client("http://localhost:8080", token="…") as headway:
        for row in headway.triggers(sort="skill", limit=10)["triggers"]:
            print(row["namespace"], row["name"], row["skill"])

`api.py` is made from the OpenAPI document; `session.py` sends requests.
"""

from scaler.client.api import Client
from scaler.client.session import ApiProblem, NoAnswer

__all__ = ["ApiProblem", "Client", "NoAnswer"]
