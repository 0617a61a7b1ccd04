"""`make faults`: faults are injected into real servers and processes, and a bystander's answers are recorded."""
