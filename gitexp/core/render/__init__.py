"""Values to text: tables, a run in full, verdicts in words, JSON, CSV and porcelain."""
