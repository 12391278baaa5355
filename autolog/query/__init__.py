"""The language that runs are searched by: grammar, syntax tree, printing. It knows no database."""
