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


MERGES = """\
kind: ScaledObject
spec:
  first: &first {a: 1, b: 1}
  second: &second
    b: 2
    c: 2
  plain: {<<: *first, b: 9}
  several:
    <<: [*first, *second]
    c: 9
  nested: &nested {<<: *second, d: 3}
  deep: {<<: *nested, c: 9}
"""


def test_a_written_key_overrides_one_that_is_merged() -> None:
    """Of several merged mappings the first counts; nothing of it is written twice, and lines stay right."""
    (scaled,) = read_manifest(MERGES).objects
    assert scaled.spec["plain"] == {"a": 1, "b": 9}
    assert scaled.spec["several"] == {"a": 1, "b": 1, "c": 9}
    assert scaled.spec["deep"] == {"b": 2, "c": 9, "d": 3}
    assert (scaled.duplicates, scaled.overridden) == ((), ())
    assert [scaled.line(("spec", "several", key)) for key in "abc"] == [3, 3, 10]


@pytest.mark.parametrize(
    ("mapping", "value", "duplicates", "overridden"),
    [
        ("{b: 9, <<: *a}", 1, [], ["b"]),
        ("{b: 8, <<: *a, b: 9}", 9, ["b"], ["b"]),
        ("{<<: *a, b: 8, b: 9}", 9, ["b"], []),
        ("{<<: {b: 1, b: 2}}", 2, [], []),
        ('{"<<": 1, b: 9}', 9, [], []),
    ],
)
def test_the_later_entry_wins(mapping: str, value: int, duplicates: list[str], overridden: list[str]) -> None:
    """Also a merge key over what stands before it, unlike in standard YAML; a key written twice is one in any case."""
    (scaled,) = read_manifest(f"kind: ScaledObject\nspec:\n  x: &a {{b: 1}}\n  z: {mapping}\n").objects
    assert scaled.spec["z"]["b"] == value
    assert scaled.duplicates == tuple(("spec", "z", key) for key in duplicates)
    assert scaled.overridden == tuple(("spec", "z", key) for key in overridden)


@pytest.mark.parametrize("merged", ["5", "[*a, 5]", "[[*a]]", "null"])
def test_merge_keys_that_kubernetes_refuses(merged: str) -> None:
    """A merge key takes a mapping or a list of mappings."""
    with pytest.raises(ManifestError, match="line 4: not valid YAML: a merge key"):
        read_manifest(f"kind: ScaledObject\nspec:\n  x: &a {{b: 1}}\n  y: {{<<: {merged}}}\n")


@pytest.mark.parametrize(
    "text",
    [
        "kind: ScaledObject\nmetadata:\n  name: {{ .Release.Name }}\n",
        "kind: ScaledObject\n{{- if .Values.on }}\nspec: {}\n{{- end }}\n",
        "{{- range .Values.apps }}\nkind: ScaledObject\n{{- end }}\n",
    ],
)
def test_a_template_is_to_be_rendered_first(text: str) -> None:
    """What a raw Helm template lacks is said beside the line where YAML ends."""
    with pytest.raises(ManifestError, match=r"^line \d.*looks like a Helm template: render it first"):
        read_manifest(text)


def test_a_quoted_template_is_found() -> None:
    """Quoted, it is valid YAML, and KEDA would get its letters."""
    (scaled,) = read_manifest(
        'kind: ScaledObject\nspec: {maxReplicaCount: "{{ .Values.max }}", a: ["{{ x }}"]}\n'
    ).objects
    assert scaled.templated == (("spec", "maxReplicaCount"), ("spec", "a", 0))


def test_values_as_keda_reads_them() -> None:
    """Trimmed, and a blank one is absent; the text itself stays as it is written."""
    text = 'kind: ScaledObject\nspec: {triggers: [{metadata: {query: " up ", timeout: "", namespace: " ", a: ~}}]}\n'
    (entry,) = read_manifest(text).objects[0].triggers
    assert (entry.given, entry.metadata["query"]) == ({"query": "up"}, " up ")
