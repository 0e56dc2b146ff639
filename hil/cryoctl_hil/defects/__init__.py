"""Probes with one defect each: what a suite has to catch before its PASS means anything."""
