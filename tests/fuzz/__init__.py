"""Inputs that nobody would send on purpose: what takes them, and what makes them.

A *target* takes one input, as bytes, and tells in a word what became of it; whatever it
raises is a defect. `python -m tests.fuzz` feeds targets with mutations of the corpus,
as often as wanted; in `tests.fuzz.guided` atheris chooses them by the code they reach.
"""
