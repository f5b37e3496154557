"""Profiles that other tools wrote, on their way into a session.

A reader of :mod:`workbench.formats` makes a :class:`~workbench.profiles.profile.Profile`:
columns, not one object a sample. :mod:`workbench.profiles.tables` makes the tables of a
session of it, so that every frame and view works on it as on what was recorded here.
"""
