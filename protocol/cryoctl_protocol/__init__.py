"""The wire between cryoctl and a cryoprobe: messages, frames, sessions and common ground."""
