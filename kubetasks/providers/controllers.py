"""How a cluster of our own runs Kubernetes' controllers."""

# Requests a second, and at once. At its start each controller asks for an account and a token, one after the other: some 150
# requests. With Kubernetes' own 20 a second a new cluster stands still for 4 s; the API server limits what it takes itself.
RATE = 500
