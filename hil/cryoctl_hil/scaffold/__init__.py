"""A suite of a user's own: the files to begin with, and the command that writes them."""
