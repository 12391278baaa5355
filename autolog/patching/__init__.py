"""Puts hooks around functions of other packages and takes them off again without a trace.

`ModuleWatch` says when a module has been imported, `Engine` puts hooks on its functions. Neither
knows what the hooks are for.
"""

from autolog.patching.call import EngineCall
from autolog.patching.engine import Engine
from autolog.patching.finder import ModuleWatch
from autolog.patching.site import Handle, Hooks, Site, SiteStatus, State

__all__ = ["Engine", "EngineCall", "Handle", "Hooks", "ModuleWatch", "Site", "SiteStatus", "State"]
