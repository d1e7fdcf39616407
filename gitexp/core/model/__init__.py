"""What gitexp is about: runs, annotations, their ids and names, tables of values."""
