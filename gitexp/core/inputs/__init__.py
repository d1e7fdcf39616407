"""Input from users: arguments, files, printed lines, Python values; redaction of their secrets."""
