"""Controller of a handheld cryoprobe: treatments, interlocks, recordings, reports.

Development and research software; not a medical device.
"""

__version__ = "0.1.0"
