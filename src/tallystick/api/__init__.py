"""The HTTP edge: one file per resource, each with its routes and what they read and return.

`application` puts them together. Nothing is loaded here: commands and the worker take from the edge what they need, and
loading all of it takes longer than what they do.
"""
