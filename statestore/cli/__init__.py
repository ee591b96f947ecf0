"""The command line: the only room that prints, and that reads arguments and the environment."""
