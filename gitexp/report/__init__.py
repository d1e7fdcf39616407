"""The search as one HTML file that needs nothing else, and as the comment under a pull request.

Floor 5. Python computes what the page says: standings, verdicts, the line of ideas. The page, in
`static/`, shows it, filters it, and judges the pairs that the reader picks.
"""
