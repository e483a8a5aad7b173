// Changes as they happen. A browser opens at most six connections a host, so only one tab holds the
// event stream: the one that owns a web lock. It relays what it hears to the others, and when it closes,
// the next in line takes over.

import { authorization } from "./api.ts";
import { sseReader } from "./sse.ts";
import type { Message } from "./sse.ts";

export type Connection = "live" | "lost";

const QUIET_MS = 40_000; // the server says something at least every 15 s

interface Relay {
  message?: Message;
  connection?: Connection;
}

export function listen(onMessage: (message: Message) => void, onConnection: (connection: Connection) => void): void {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("braid-stream") : null;

  channel?.addEventListener("message", (relayed: MessageEvent<Relay>) => {
    if (relayed.data.message !== undefined) {
      onMessage(relayed.data.message);
    }
    if (relayed.data.connection !== undefined) {
      onConnection(relayed.data.connection);
    }
  });
  const lead = () =>
    hold(
      (message) => {
        onMessage(message);
        channel?.postMessage({ message } satisfies Relay);
      },
      (connection) => {
        onConnection(connection);
        channel?.postMessage({ connection } satisfies Relay);
      },
    );
  if ("locks" in navigator) {
    void navigator.locks.request("braid-stream", lead);
  } else {
    void lead();
  }
}

// Hold the stream for ever, connecting again whenever it breaks.
async function hold(onMessage: (message: Message) => void, onConnection: (connection: Connection) => void): Promise<never> {
  let lastId = "";
  let wait = 500;
  for (;;) {
    try {
      await readOnce(lastId, (message) => {
        lastId = message.id === "" ? lastId : message.id;
        wait = 500;
        onConnection("live");
        onMessage(message);
      });
    } catch {
      // Whatever broke it, the answer is the same.
    }
    onConnection("lost");
    await new Promise((go) => setTimeout(go, wait * (0.5 + Math.random())));
    wait = Math.min(2 * wait, 15_000);
  }
}

async function readOnce(lastId: string, onMessage: (message: Message) => void): Promise<void> {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), QUIET_MS);
  const headers: Record<string, string> = authorization();
  if (lastId !== "") {
    headers["Last-Event-ID"] = lastId;
  }
  try {
    const response = await fetch("/api/stream", { headers, signal: quiet.signal, cache: "no-store" });
    if (!response.ok || response.body === null) {
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = sseReader(onMessage);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), QUIET_MS);
      feed(value);
    }
  } finally {
    clearTimeout(timer);
  }
}
