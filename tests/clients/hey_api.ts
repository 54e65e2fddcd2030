// A caller's calls through the client that @hey-api/openapi-ts makes; prints the id of the link.
import { cancelLink, createLink, getLink, listLinks, listProviders } from "./hey_api_client";
import { client } from "./hey_api_client/client.gen";

declare const process: { env: Record<string, string> };

function expect(met: unknown, what: string): asserts met {
  if (!met) throw new Error(what);
}

async function main() {
  client.setConfig({ baseUrl: process.env.LATCHKEY_URL, auth: process.env.LATCHKEY_KEY });
  const card = {
    cardNumber: "4242424242424242",
    expirationDate: "04/29",
    cvv: "123",
    nameOnCard: "Jane Doe",
    billingZip: "12345",
  };
  const { data: created } = await createLink({
    body: {
      integrationId: "tmobile",
      operations: [
        { resource: "paymentMethod", action: "read" },
        { resource: "paymentMethod", action: "write", arguments: card },
      ],
    },
  });
  expect(created && created.expiresAt - created.createdAt === 14_400_000, "create");
  const path = { linkId: created.linkId };

  const { data: listed } = await listLinks({ query: { status: "pending", limit: 1 } });
  expect(listed?.links.length === 1 && listed.links[0]?.linkId === created.linkId, "list");

  const { data: link } = await getLink({ path });
  expect(link?.status === "pending" && link.operations[1]?.action === "write", "get");

  const { data: canceled } = await cancelLink({ path });
  expect(canceled?.status === "canceled", "cancel");

  const { data: catalogue } = await listProviders();
  expect(catalogue?.providers.some((provider) => provider.id === "tmobile"), "providers");

  const { error } = await getLink({ path: { linkId: "link_unknown" } });
  expect(error && "code" in error && error.code === "not_found", "error");

  console.log(created.linkId);
}

void main();
