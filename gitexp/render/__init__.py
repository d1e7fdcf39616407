"""Values to text: tables, a run in full, verdicts in words, JSON, CSV and porcelain.

Imports only floors 0 and 1; knows no terminal: width, colour and the time are arguments.
"""
