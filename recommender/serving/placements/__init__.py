"""Placements: named places where recommendations are shown, with their settings and their rules."""
