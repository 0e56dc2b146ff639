"""What somebody's port of the protocol has to do, as checks that name the first thing wrong."""
