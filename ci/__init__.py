"""The test matrix behind this repository's `inv test`. The kubetasks package does not use it."""
