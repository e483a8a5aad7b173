// Who works, on what, and how healthy they are.

import type { Worker } from "./api.ts";
import { card, el, fill } from "./dom.ts";
import * as format from "./format.ts";

export function workersView(): { root: HTMLElement; update: (workers: Worker[]) => void } {
  const { root, body } = card("workers", "Workers");

  function update(workers: Worker[]): void {
    if (workers.length === 0) {
      fill(body, el("p", { class: "empty" }, "No worker has said hello yet: braid work URL --token-file FILE"));
      return;
    }
    fill(
      body,
      el(
        "ul",
        { class: "workers" },
        ...workers.map((worker) => {
          const trouble = [
            worker.failed > 0 ? `${format.count(worker.failed)} failed` : "",
            worker.lost > 0 ? `${format.count(worker.lost)} lost` : "",
            worker.invalid > 0 ? `${format.count(worker.invalid)} refused` : "",
          ].filter((text) => text !== "");
          const heard = worker.silent_s === null ? "" : `, heard ${format.duration(worker.silent_s)} ago`;
          const doing = worker.candidate !== null ? `candidate ${worker.candidate}` : worker.state === "silent" ? `silent${heard}` : worker.state;
          return el(
            "li",
            { "data-state": worker.state },
            el("span", { class: "lamp", role: "img", "aria-label": worker.state }),
            el("span", { class: "name" }, worker.name, el("small", {}, worker.path)),
            el("span", { class: "doing" }, doing),
            el("span", { class: "numeric" }, `${format.count(worker.done)} done`, trouble.length === 0 ? null : el("small", { class: "bad" }, trouble.join(", "))),
          );
        }),
      ),
    );
  }
  return { root, update };
}
