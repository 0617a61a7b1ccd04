"""What every HTTP client of the project shares: how it is made, which proxy it uses, and what its headers may hold.

client.py   options and error texts for httpx, whose own reading of the environment is off
proxies.py  the proxy variables of the environment, as Go reads them
headers.py  credentials and headers: one line, no control characters
"""
