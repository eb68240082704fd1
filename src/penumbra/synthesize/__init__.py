"""synthesize@METHOD: candidate outliers, one row each, with provenance.

A folder is the room of a method. The files beside the folders are what rooms share; `none` is the method without outliers.
"""
