"""Records: how they are stored, what of them is saved, and how two changes of one meet."""
