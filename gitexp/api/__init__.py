"""The Python API, exported by `import gitexp`."""
