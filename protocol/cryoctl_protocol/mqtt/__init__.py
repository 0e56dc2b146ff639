"""Probes and controllers on an MQTT 5 broker: one frame body, one payload.

Here for both sides, since both speak of the same topics; neither knows the other.
"""
