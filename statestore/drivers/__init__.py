"""Drivers: where bytes live. One seam, and the implementations behind it."""
