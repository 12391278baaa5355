"""Which framework versions were tested, and which guards answer their quirks.

`compat_matrix.yaml` is the source. `python -m autolog.compat` compiles and checks it during
development; at run time only `view` is used, and only once a framework is imported.
"""
