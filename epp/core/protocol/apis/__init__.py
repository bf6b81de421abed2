"""The APIs whose request bodies are read: one file per family, a table of parsers by path."""
