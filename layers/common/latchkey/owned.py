"""The link that a private route names, for its owner alone."""

from latchkey import ids, store
from latchkey.errors import NotFoundError
from latchkey.http import CallerRequest
from latchkey.links import Link


def link(request: CallerRequest) -> Link:
    """The link of the path; raises NotFoundError, the same for unknown, malformed and somebody else's ids."""
    link_id = request.path_parameters["linkId"]
    found = store.get_link(link_id) if ids.is_link_id(link_id) else None
    if found is None or found.owner != request.caller.owner:
        raise NotFoundError
    request.log["linkId"] = link_id
    return found
