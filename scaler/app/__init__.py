"""The composition root: settings → backends → running tasks → graceful stop.

service.py     one scaler process: its ports and its tasks
backends.py    source, catalog, cache and store, opened from the settings
scheduling.py  what the process asks of the operating system and of Python
"""
