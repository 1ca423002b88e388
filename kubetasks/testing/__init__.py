"""The test matrix behind `inv test`. Nothing that a person runs outside of tests belongs here."""
