"""The language that runs are searched by: grammar, syntax tree, printing, meaning.

It is MLflow's filter language with or, not, parentheses, in, between, typed params, `min()` and
the like, and the fields of related runs. Nothing here knows a database: `evaluate` gives the
meaning over plain runs, and a store must answer the same.

Every clause is either true or false of a run. A comparison is false where the run has no such
value, whatever the operator, so `params.opt != 'adam'` wants runs that have the parameter, and
`not params.opt = 'adam'` takes those without it as well. NaN differs from everything and is
neither smaller nor larger than anything.
"""
