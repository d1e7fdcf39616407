"""What users hand over: arguments, files, printed lines, Python values; secrets in them."""
