"""The dashboard: a page that looks on at a live session and asks for things; it decides nothing."""
