"""Campaigns: many simulated treatments, drawn from one file, on as many processors as there are."""
