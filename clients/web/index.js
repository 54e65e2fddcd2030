import "./latchkey.js";

export const { Latchkey } = globalThis;
