"""Tests that are known not to hold yet: name -> why. docs/limits.md names each of them."""

EXPECTED_FAILURES = {}
