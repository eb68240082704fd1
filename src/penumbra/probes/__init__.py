"""Digests of what this machine computes, operation by operation: do its bytes equal those of another machine?"""
