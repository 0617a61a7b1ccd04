"""What meeting a new metric server costs."""

from scaler.history.credentials import ServerAccess, tls_context


def test_servers_without_own_certificates_share_their_trust() -> None:
    """Reading the system's authorities takes 30 ms of the event loop: once, not for every address of a tenant."""
    access = ServerAccess(pattern="https://a")

    assert tls_context(access).current() is tls_context(access).current()
