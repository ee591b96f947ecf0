"""Services: act on an engine. Conversion, backup, restore, import, verification, statistics."""
