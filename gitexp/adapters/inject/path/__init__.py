"""The directory that comes first on PYTHONPATH. It contains only `sitecustomize`."""
