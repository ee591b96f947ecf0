"""Measures the library beside limits of the disk and its peers: python -m tests.bench."""
