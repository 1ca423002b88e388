"""Install, start and stop the container engine of a bare Debian machine, and remove it with everything else from setup.

`kubetasks` works without this package, and then asks the user to start Docker.
"""
