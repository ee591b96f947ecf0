"""The engine: coordinates managers and a driver."""
