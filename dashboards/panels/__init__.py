"""Panels: the layer over grafanalib, constructors, queries and style."""
