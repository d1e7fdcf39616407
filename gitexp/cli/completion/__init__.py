"""Completion of command lines: suggestions and the scripts for bash, zsh and fish."""
