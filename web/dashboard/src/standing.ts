// Where the best stands among parents and baselines: one line each, a dot for the value, a bar for the interval.

import type { Summary } from "./api.ts";
import { card, el, fill, say } from "./dom.ts";
import * as format from "./format.ts";
import { standingLines } from "./lines.ts";
import type { Line } from "./lines.ts";

// Round bounds that hold all values, so that the axis does not twitch with every update.
function bounds(lines: Line[]): [number, number] {
  const values = lines.map((line) => line.value).filter((x): x is number => x !== null);
  if (values.length === 0) {
    return [0, 1];
  }
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = high > low ? 0.12 * (high - low) : 0.1;
  return [low - pad, high + pad];
}

export function standingView(): { root: HTMLElement; update: (summary: Summary) => void } {
  const on = el("span", { class: "aside" });
  const { root, body } = card("standing", "Against parents and baselines", on);
  const list = el("ul", { class: "standing" });
  fill(body, list);

  function update(summary: Summary): void {
    const share = format.isShare(summary.tasks);
    const { lines, on: where } = standingLines(summary);
    const [low, high] = bounds(lines);
    const best = lines.find((line) => line.kind === "winner")?.value ?? null;

    say(on, where);
    fill(
      list,
      ...lines.map((line) => {
        const dot = el("span", { class: "dot" });
        const stem = el("span", { class: "stem" });
        const track = el("span", { class: "track", "aria-hidden": "true" }, stem, dot);
        if (line.value === null) {
          dot.hidden = true;
          stem.hidden = true;
        } else {
          const at = (100 * (line.value - low)) / (high - low);
          dot.style.left = `${at}%`;
          stem.style.width = `${at}%`;
        }
        const mark = best === null || line.kind === "winner" ? null : el("span", { class: "goal" });
        if (mark !== null && best !== null) {
          mark.style.left = `${(100 * (best - low)) / (high - low)}%`;
          track.append(mark);
        }
        return el(
          "li",
          { "data-kind": line.kind },
          el("span", { class: "name" }, line.label),
          el("span", { class: "number" }, format.value(line.value, share)),
          track,
          line.note === "" ? null : el("span", { class: "note" }, line.note),
        );
      }),
    );
    if (lines.length === 0) {
      fill(list, el("li", { class: "empty" }, "Nothing has been measured yet."));
    }
  }
  return { root, update };
}
