"""What commands print: tables, errors, progress, the pager."""
