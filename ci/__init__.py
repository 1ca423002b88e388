"""The test matrix behind this repository's `inv test`. The package knows nothing of it."""
