"""Contracts and strategies that prove an implementation, for this library and for third parties."""
