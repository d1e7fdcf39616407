"""The data model: runs, annotations, their ids and names, tables of values."""
