"""YAML that is short to write and endless, or huge, to read."""

import pytest

from scaler.manifest import ManifestError, read_manifest

LAUGHS = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9))


@pytest.mark.parametrize(
    "text",
    [
        "kind: ScaledObject\nmetadata: &a {name: x, self: *a}\n",
        "kind: TriggerAuthentication\nmetadata: {name: x}\nspec: &a {self: *a}\n",
        "kind: ScaledObject\nspec: " + "[" * 3000 + "]" * 3000,
        "kind: ScaledObject\n" + LAUGHS,
        "!!set {kind, spec}",
    ],
    ids=["alias of itself", "alias of itself in an authentication", "deep", "aliases of aliases", "a set"],
)
def test_endless_documents_are_refused(text: str) -> None:
    """Each is told as a fault of the file; none hangs or shows a traceback."""
    with pytest.raises(ManifestError):
        read_manifest(text)
