"""Makes the bundles that ship with the scaler.

seasonal.py      the seasonal bundle, which has nothing to learn: `make bundle`
general.py       the general bundle, for series that it has never seen: `make default-bundle`
data.py          what the general bundle learns from: recorded systems whose terms allow it, mixtures, synthetic demand
scores.py        its scores on systems that it has not seen, by window length and by length of history
beside_naive.py  its losses over those of seasonal naive and of persistence
"""
