// Every member of latchkey-web, as a caller uses them; and what the compiler must refuse. Nothing of it is run.
import { Latchkey } from "latchkey-web";
import type { Callbacks, Complete, Exit, Handle, LinkError, LinkEvent, Options, Ready, Step } from "latchkey-web";

const callbacks: Callbacks = {
  onComplete: ({ linkId, status }: Complete) => {
    const ended: "complete" = status;
    console.log(linkId.length, ended);
  },
  onExit: ({ linkId, status, error }: Exit) => {
    switch (status) {
      case "closed":
      case "failed":
      case "canceled":
      case "expired":
      case "blocked":
      case "invalid":
        return explain(linkId, error);
      default:
        return status satisfies never; // there is no other
    }
  },
};

function explain(linkId: string | null, error: LinkError | null): void {
  if (error?.code === "LOGIN_FAILED") console.log(linkId, error.reason?.toUpperCase());
}

const options: Options = {
  ...callbacks,
  url: "https://links.example/link_1?code=clm_1",
  mode: "auto",
  title: "Connect T-Mobile",
  onReady: ({ linkId }: Ready) => console.log(linkId.length),
  onEvent: ({ linkId, step }: LinkEvent) => {
    const known: Step = step;
    console.log(linkId.length, known === "otp");
  },
};
const handle: Handle = Latchkey.open(options);
const linkId: string | null = handle.linkId;
handle.close();
Latchkey.open({ url: Promise.resolve("https://links.example/link_1?code=clm_1"), mode: "dialog" });
Latchkey.open({ url: "", mode: "popup" });
Latchkey.open({ url: "", mode: "redirect" });
Latchkey.resume(callbacks);
globalThis.Latchkey.resume({});
console.log(linkId);

// @ts-expect-error without a url
Latchkey.open({ mode: "auto" });
// @ts-expect-error of no mode
Latchkey.open({ url: "", mode: "window" });
// @ts-expect-error of a mistyped callback
Latchkey.open({ url: "", onSuccess: () => {} });
// @ts-expect-error a complete link has no error
Latchkey.open({ url: "", onComplete: ({ error }) => console.log(error) });
// @ts-expect-error there may be no link
Latchkey.open({ url: "", onExit: ({ linkId }) => linkId.length });
// @ts-expect-error there may be no error
Latchkey.open({ url: "", onExit: ({ error }) => error.code });
// @ts-expect-error an end that there is not
Latchkey.open({ url: "", onExit: ({ status }) => status === "complete" });
// @ts-expect-error resume opens nothing
Latchkey.resume({ url: "" });
// @ts-expect-error it is not to be set
handle.linkId = "link_2";
// @ts-expect-error it is closed without a word
handle.close("failed");
