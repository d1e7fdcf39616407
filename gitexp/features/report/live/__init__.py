"""The live page: a server on 127.0.0.1 that follows the run branch and the journals."""
