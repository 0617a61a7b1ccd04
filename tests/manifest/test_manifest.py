import re

import pytest

from scaler.manifest import ManifestError, read_manifest

TEXT = """\
# a comment
kind: ScaledObject
metadata: {name: web}
spec:
  triggers:
    - type: external
      metadata:
        query: up
        threshold: 010
        activationThreshold: yes
        query: down
---
kind: Service
---
"""


def test_lines_are_those_of_the_file() -> None:
    """A finding points at the line of its field, or of the field around it where it is missing."""
    (scaled,) = read_manifest(TEXT).objects
    metadata = ("spec", "triggers", 0, "metadata")
    assert [scaled.line((*metadata, key)) for key in ("threshold", "absent")] == [9, 7]


def test_values_keep_the_text_of_the_file() -> None:
    """Unquoted values are passed on as written, with what YAML would make of them."""
    (entry,) = read_manifest(TEXT).objects[0].triggers
    assert entry.metadata["threshold"] == "010"
    assert entry.unquoted == {"threshold": "int", "activationThreshold": "bool"}


def test_duplicate_keys_are_found() -> None:
    """YAML keeps the last of two equal keys silently; the manifest tells where they are."""
    (scaled,) = read_manifest(TEXT).objects
    assert scaled.duplicates == (("spec", "triggers", 0, "metadata", "query"),)


def test_other_documents_are_counted_and_namespace_defaults() -> None:
    """Documents of other kinds are named, and an object without namespace takes the given one."""
    manifest = read_manifest(TEXT, "shop")
    assert (manifest.skipped, manifest.objects[0].namespace) == (("Service",), "shop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", "line 2, column 2: not valid YAML"),
        ("- a\n- b\n", "line 1: a Kubernetes object is a mapping"),
        ("kind: ScaledObject\n---\njust words\n", "line 3: a Kubernetes object is a mapping"),
        ("a: *missing\n", "line 1, column 4: not valid YAML"),
        ("a: !!python/object:os.system x\n", "not valid YAML"),
        ("a: !!timestamp x\n", "line 1: not valid YAML"),
        ('a: !!int ""\n', "line 1: not valid YAML"),
        ("a: !!bool x\n", "line 1: not valid YAML"),
        (f"a: !!float 1{':00' * 250}:00.5\n", "line 1: not valid YAML"),
    ],
)
def test_broken_yaml_names_the_line(text: str, message: str) -> None:
    """What is not YAML, or not an object, is told with its line."""
    with pytest.raises(ManifestError, match=message):
        read_manifest(text)


def test_a_list_is_what_it_holds() -> None:
    """As `kubectl get scaledobjects -o yaml` prints several; lines are those of the text."""
    item = "".join(f"  {line}\n" for line in TEXT.split("---")[0].strip().splitlines())
    listed = f"kind: List\nitems:\n-{item[1:]}-{item[1:]}- 5\n"
    first, second = read_manifest(listed).objects
    (alone,) = read_manifest(TEXT).objects
    assert first.spec == second.spec == alone.spec
    assert second.line(("spec",)) > first.line(("spec",)) > 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("x", "line 2: spec='x': must be a mapping"),
        ("[]", "line 2: spec=[]: must be a mapping"),
        ("{triggers: 5}", "line 2: spec.triggers=5: must be a list"),
        ("{triggers: [null, x]}", "line 2: spec.triggers[1]='x': must be a mapping"),
        ("{<<: {triggers: 5}}", "line 2: spec.triggers=5: must be a list"),
        (
            "{triggers: [{metadata: {query: [a]}}]}",
            "line 2: spec.triggers[0].metadata.query: must be a string, not a list",
        ),
        ("{triggers: [{metadata: {query: !!set {a}}}]}", "metadata.query: must be a string, not a set"),
        ("{triggers: [{metadata: {token: {a: b}}}]}", "metadata.token: must be a string, not a mapping"),
        ('{triggers: [{metadata: {"\\e[2J": []}}]}', "metadata.�[2J: must be a string, not a list"),
        ("{triggers: [{metadata: [a]}]}", "line 2: spec.triggers[0].metadata=['a']: must be a mapping"),
    ],
)
def test_shapes_that_kubernetes_refuses(spec: str, message: str) -> None:
    """Line, field, value and rule."""
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_manifest(f"kind: ScaledObject\nspec: {spec}\n")


@pytest.mark.parametrize("spec", ["null", "{triggers: null}", "{triggers: [null, {metadata: null}, {type: 5}]}"])
def test_what_is_not_filled_in_is_read_as_absent(spec: str) -> None:
    """As YAML has it: a key without a value."""
    (scaled,) = read_manifest(f"kind: ScaledObject\nspec: {spec}\n").objects
    assert scaled.our_triggers == ()
