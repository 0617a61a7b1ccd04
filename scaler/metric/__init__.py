"""The gRPC side. `Servicer` answers KEDA's five RPCs from memory; `MetricServer` is its port."""

import os

# gRPC's own lines on stderr are for its developers; our log has what concerns users. gRPC reads this when imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
