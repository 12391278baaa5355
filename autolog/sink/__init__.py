"""Ships journals to a store that is a server, from outside of the training process.

The trainer starts one detached helper process per store and user and never waits for it, but for
a moment at its end. `launch` and `state` need the standard library only.
"""
