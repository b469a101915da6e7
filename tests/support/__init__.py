"""Helpers of the tests: servers, worlds with a known answer, load, faults."""
