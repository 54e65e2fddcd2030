"""A caller's calls through the client that openapi-python-client makes; prints the id of the link."""

import os

from generated_client import AuthenticatedClient
from generated_client.api.catalogue import list_providers
from generated_client.api.links import cancel_link, create_link, get_link, list_links
from generated_client.models import (
    Action,
    AnyError,
    CreatedLink,
    CreateLinkRequest,
    Link,
    LinkList,
    LinkStatus,
    ProviderList,
    RequestedOperation,
    RequestedOperationArguments,
)

client = AuthenticatedClient(base_url=os.environ["LATCHKEY_URL"], token=os.environ["LATCHKEY_KEY"])

card = {
    "cardNumber": "4242424242424242",
    "expirationDate": "04/29",
    "cvv": "123",
    "nameOnCard": "Jane Doe",
    "billingZip": "12345",
}
write = RequestedOperation("paymentMethod", "write", RequestedOperationArguments.from_dict(card))
body = CreateLinkRequest("tmobile", [RequestedOperation("paymentMethod", "read"), write])
created = create_link.sync(client=client, body=body, idempotency_key=os.urandom(8).hex())
assert isinstance(created, CreatedLink)
assert created.expires_at - created.created_at == 14_400_000

listed = list_links.sync(client=client, status=LinkStatus.PENDING, limit=1)
assert isinstance(listed, LinkList)
assert [link.link_id for link in listed.links] == [created.link_id]

link = get_link.sync(created.link_id, client=client)
assert isinstance(link, Link)
assert (link.status, link.operations[1].action) == (LinkStatus.PENDING, Action.WRITE)

canceled = cancel_link.sync(created.link_id, client=client)
assert isinstance(canceled, Link)
assert canceled.status == LinkStatus.CANCELED

catalogue = list_providers.sync(client=client)
assert isinstance(catalogue, ProviderList)
assert "tmobile" in [provider.id for provider in catalogue.providers]

# What the service refuses, and what the gateway does before it: an id with a slash is no route.
for unknown in ("link_0000000000000000000000", "a/b"):
    refused = get_link.sync(unknown, client=client)
    assert isinstance(refused, AnyError)

print(created.link_id)
