"""KEDA's interface as Python, made from proto/externalscaler.proto by `make proto`. Never edited by hand."""
