"""The container engine of a bare Debian machine: installed with apt, started, stopped, and removed with all else from setup.

`kubetasks` works without it, and then asks a person to start Docker.
"""
