"""What KEDA talks to. `Servicer` answers the five RPCs from memory; `MetricServer` is the port it stands behind."""

import os

# gRPC's own lines on stderr are for its developers; what concerns a user is told in ours. Read when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
