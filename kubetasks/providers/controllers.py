"""How a cluster of our own runs Kubernetes' controllers."""

# Requests a second, and at once. At its start each controller asks for an account and a token, one after the other: some 150
# requests. With Kubernetes' own 20 a second a new cluster stalls for 4 s. The API server limits by itself what it takes.
RATE = 500
