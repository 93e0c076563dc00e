"""Panels: constructors, queries, style, and the layer over grafanalib."""
