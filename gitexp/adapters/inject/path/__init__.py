"""The directory that comes first on PYTHONPATH. It holds `sitecustomize` and nothing else."""
