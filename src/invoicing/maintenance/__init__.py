"""Maintenance windows: announced to those they touch, promises shifted before they start, lanes drained, ended."""
