"""Runs as a folder of files: exported from one store, imported into another."""
