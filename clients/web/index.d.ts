/** Where the link stands that was opened. Callers take words that they do not know. */
export type Step =
  | "consent"
  | "login"
  | "otp"
  | "choice"
  | "wait"
  | "working"
  | "ended"
  | (string & Record<never, never>);

/** Why a link failed: a code and, where the connector said one, a reason, both as in the API's `error`. */
export interface LinkError {
  readonly code:
    | "LOGIN_FAILED"
    | "USER_CANCELED"
    | "CLIENT_TIMEOUT"
    | "AUTOMATION_ERROR"
    | "RESULT_VALIDATION_ERROR"
    | "CONNECTION_FAILED"
    | "OUTCOME_UNKNOWN"
    | "INTERNAL_ERROR"
    | (string & Record<never, never>);
  readonly reason: string | null;
}

export interface Ready {
  readonly linkId: string;
}

/** A hint of what the user sees; it decides nothing. */
export interface LinkEvent {
  readonly linkId: string;
  readonly step: Step;
}

export interface Complete {
  readonly linkId: string;
  readonly status: "complete";
}

export interface Exit {
  /** Null if there was no link at `url`. */
  readonly linkId: string | null;
  /**
   * `failed`, `canceled` and `expired` are the link's end. The others are not, and the same `url` can be opened
   * again: `closed` by the user, by `close()` or by another `open`; `blocked` by the browser (a popup) or by the
   * page's `embedOrigins` (a frame); `invalid` if `url` is no link of the service.
   */
  readonly status: "closed" | "failed" | "canceled" | "expired" | "blocked" | "invalid";
  readonly error: LinkError | null;
}

/** Exactly one of the two is called, once. What the user's account gave comes by webhook or API alone. */
export interface Callbacks {
  onComplete?: (complete: Complete) => void;
  onExit?: (exit: Exit) => void;
}

export interface Options extends Callbacks {
  /** The link's `appClipUrl`, or a promise of it: then dialog and popup open at once, in the click. */
  url: string | PromiseLike<string>;
  /** `auto`, the default: a dialog on wide screens if the link's `embedOrigins` let this page, else `redirect`. */
  mode?: "auto" | "dialog" | "popup" | "redirect";
  /** What the dialog is called, in the page's language. */
  title?: string;
  /** The page is there. Not called for a redirect. */
  onReady?: (ready: Ready) => void;
  onEvent?: (event: LinkEvent) => void;
}

export interface Handle {
  /** Null until a promised `url` is there. */
  readonly linkId: string | null;
  /** Takes the page away; `onExit` gets `closed` unless the link has ended. */
  close(): void;
}

export interface Latchkey {
  /** Shows the link's page, and closes the one that was open before. */
  open(options: Options): Handle;
  /**
   * Tells what became of the link that this tab opened last, if that was not told yet: on the page of `returnUrl`,
   * and on pages that open links, which may be reloaded meanwhile. With nothing to tell it does nothing.
   */
  resume(callbacks: Callbacks): void;
}

export const Latchkey: Latchkey;

declare global {
  /** What the script `/latchkey.js` makes. */
  var Latchkey: Latchkey;
}
