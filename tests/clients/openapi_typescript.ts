// A caller's calls by the types that openapi-typescript makes; prints the id of the link.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { env: Record<string, string> };

function expect(met: unknown, what: string): asserts met {
  if (!met) throw new Error(what);
}

async function main() {
  const client = createClient<paths>({
    baseUrl: process.env.LATCHKEY_URL,
    headers: { Authorization: `Bearer ${process.env.LATCHKEY_KEY}` },
  });
  const card = {
    cardNumber: "4242424242424242",
    expirationDate: "04/29",
    cvv: "123",
    nameOnCard: "Jane Doe",
    billingZip: "12345",
  };
  const { data: created } = await client.POST("/v1/links", {
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

  const { data: listed } = await client.GET("/v1/links", { params: { query: { status: "pending", limit: 1 } } });
  expect(listed?.links.length === 1 && listed.links[0]?.linkId === created.linkId, "list");

  const { data: link } = await client.GET("/v1/links/{linkId}", { params: { path } });
  expect(link?.status === "pending" && link.operations[1]?.action === "write", "get");

  const { data: canceled } = await client.POST("/v1/links/{linkId}/cancel", { params: { path } });
  expect(canceled?.status === "canceled", "cancel");

  const { data: catalogue } = await client.GET("/v1/providers");
  expect(catalogue?.providers.some((provider) => provider.id === "tmobile"), "providers");

  const { error } = await client.GET("/v1/links/{linkId}", { params: { path: { linkId: "link_unknown" } } });
  expect(error && "code" in error && error.code === "not_found", "error");

  console.log(created.linkId);
}

void main();
