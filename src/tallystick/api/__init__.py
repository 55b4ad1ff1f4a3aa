"""The HTTP edge: one file per resource, each with its routes and what they read and return.

`application` puts them together. Nothing is loaded here: the worker and some commands take a part of the edge, and need
not wait for the rest.
"""
