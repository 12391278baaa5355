"""The append-only log that a process writes and every reader folds: format, writer, reader.

Nothing is imported here: the trainer needs `autolog.journal.writer` alone, and the reader brings
NumPy. The format is described for other languages in docs/journal.md.
"""
