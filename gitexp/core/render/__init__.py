"""Values as text: tables, one run in full, sentences of verdicts, JSON, CSV and porcelain."""
