"""Serializers: document ↔ bytes, and telling formats apart by their content."""
