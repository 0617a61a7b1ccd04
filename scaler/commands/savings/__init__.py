"""`headway savings`: what Headway was worth to a workload, beside a reactive trigger with the same threshold."""
