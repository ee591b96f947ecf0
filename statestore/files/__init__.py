"""The only room that calls the system: files, folders, renames and syncs."""
