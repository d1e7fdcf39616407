"""The command line, one module for each command. Only this layer imports click."""
