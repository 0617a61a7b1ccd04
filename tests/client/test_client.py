"""The typed client against a real port."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scaler.client import ApiProblem, Client, NoAnswer
from scaler.client.api import Triggers, WhyOne
from tests.page.site import site
from tests.servers.process import free_port
from tests.status.everything import READS
from tests.status.registry import NOW

MANIFEST = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {name: web}
  triggers:
    - type: external
      metadata: {scalerAddress: "headway:50051", query: sum(web), threshold: "ten"}
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with site(reads=READS) as address, Client(address) as found:
        yield found


def test_a_record_has_the_keys_of_its_type(client: Client) -> None:
    found = client.triggers(sort="demand", limit=2)
    assert set(found) == Triggers.__required_keys__
    assert [row["name"] for row in found["triggers"]] == ["new", "web"]
    assert set(client.why_of("shop", "web")) == WhyOne.__required_keys__


def test_what_is_not_given_is_not_sent(client: Client) -> None:
    """The scaler would refuse a parameter that says None."""
    assert client.anomalies(days=3)["at"] == NOW
    assert client.plans_of("shop", "web", at="2h")["plans"] == []


def test_a_text_is_sent_as_it_is(client: Client) -> None:
    (tried,) = client.check(MANIFEST)["objects"]
    assert [fault["field"] for fault in tried["triggers"][0]["faults"]] == ["threshold"]


def test_names_in_paths_are_quoted(client: Client) -> None:
    with pytest.raises(ApiProblem) as refused:
        client.why_of("shop", "no/such?thing")
    assert refused.value.http_status == 404
    assert "no/such?thing" in str(refused.value)


def test_a_refusal_names_field_value_and_rule(client: Client) -> None:
    with pytest.raises(ApiProblem) as refused:
        client.triggers(limit=9999)
    (fault,) = refused.value.faults
    assert (refused.value.http_status, fault.field, fault.value) == (400, "limit", "9999")


def test_the_token_is_brought(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length")
    with site(http_token_file=str(file)) as address:
        with Client(address) as stranger, pytest.raises(ApiProblem, match="401"):
            stranger.triggers()
        with Client(address, token="a-token-of-some-length") as known:
            assert known.triggers()["count"] == 3


def test_no_scaler_answers() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as nobody, pytest.raises(NoAnswer, match="GET /api/v1/triggers"):
        nobody.triggers()
