"""Keeps the state of an application in plain files, as safely as a database."""
