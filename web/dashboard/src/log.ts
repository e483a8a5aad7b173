// The tail of the event log. It follows new lines unless someone has scrolled up to read.

import type { LogEvent } from "./api.ts";
import { card, el, fill } from "./dom.ts";

const LINES = 200;

export function logView(): { root: HTMLElement; add: (events: LogEvent[]) => void } {
  const { root, body } = card("log", "Log");
  const list = el("ol");
  const view = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Event log", "aria-live": "off" }, list);
  let last = 0;
  fill(body, view);

  function line(event: LogEvent): HTMLElement {
    const at = new Date(event.at);
    const clock = Number.isNaN(at.getTime()) ? event.at : at.toLocaleTimeString([], { hour12: false });
    return el(
      "li",
      { "data-kind": event.kind },
      el("time", { datetime: event.at }, clock),
      el("span", { class: "kind" }, event.kind),
      el("span", { class: "text" }, event.text),
    );
  }

  function add(events: LogEvent[]): void {
    const fresh = events.filter((event) => event.event > last);
    const following = view.scrollTop + view.clientHeight >= view.scrollHeight - 24;
    for (const event of fresh) {
      last = event.event;
      list.append(line(event));
    }
    while (list.childElementCount > LINES) {
      list.firstElementChild?.remove();
    }
    if (following) {
      view.scrollTop = view.scrollHeight;
    }
  }
  return { root, add };
}
