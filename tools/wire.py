"""The generated side of proto/externalscaler.proto: path → content of each file in scaler/metric/wire."""

import functools
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

WIRE = "scaler/metric/wire"
PROTO = Path(__file__).parent.parent / "proto"
FILES = ("externalscaler_pb2.py", "externalscaler_pb2.pyi", "externalscaler_pb2_grpc.py")


@functools.cache
def generated() -> dict[str, str]:
    """Content by path of everything protoc makes of the interface.

    The source folder is given to protoc under the name of the target package, so that the generated imports are
    right as they are.
    """
    from grpc_tools import protoc  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        well_known = resources.files("grpc_tools") / "_proto"
        arguments = ["protoc", f"-I{WIRE}={PROTO}", f"-I{well_known}", *outputs, f"{WIRE}/externalscaler.proto"]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc refused proto/externalscaler.proto")
        return {f"{WIRE}/{name}": Path(folder, WIRE, name).read_text() for name in FILES}


PAGES: dict[str, Callable[[], str]] = {
    path: functools.partial(lambda path: generated()[path], path) for path in (f"{WIRE}/{name}" for name in FILES)
}
