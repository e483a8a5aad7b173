// Which model feeds which layer: the best candidate's coefficients, a table whose cells are coloured by value.

import type { Candidate } from "./api.ts";
import { card, el, fill } from "./dom.ts";
import { matrices } from "./recipe.ts";
import type { Matrix } from "./recipe.ts";

function table(matrix: Matrix): HTMLElement {
  const head = el("tr", {}, el("td"), ...matrix.columns.map((name) => el("th", { scope: "col" }, name)));
  const top = Math.max(Math.abs(matrix.low), Math.abs(matrix.high), 1e-12);
  const rows = matrix.rows.map((row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, row.source),
      ...row.values.map((x) => {
        const cell = el("td", {}, x === null ? "–" : x.toFixed(2).replace("-", "−"));
        if (x !== null) {
          cell.className = x < 0 ? "negative" : "positive";
          cell.style.setProperty("--strength", (Math.abs(x) / top).toFixed(3));
        }
        return cell;
      }),
    ),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": `${matrix.parameter} by source and layers` },
    el(
      "table",
      { class: "heat" },
      el("caption", {}, matrix.parameter, el("span", {}, " by layers")),
      el("thead", {}, head),
      el("tbody", {}, ...rows),
    ),
  );
}

export function heatmapView(): {
  root: HTMLElement;
  update: (candidate: Candidate | null, nameOf: (digest: string) => string) => void;
} {
  const aside = el("span", { class: "aside" });
  const { root, body } = card("heatmap", "Which model feeds which layers", aside);

  function update(candidate: Candidate | null, nameOf: (digest: string) => string): void {
    if (candidate === null) {
      aside.textContent = "";
      fill(body, el("p", { class: "empty" }, "The picture appears with the first scored candidate."));
      return;
    }
    aside.textContent = `candidate ${candidate.candidate}, ${candidate.recipe.method}`;
    const shared = candidate.recipe.groups[0]?.parameters ?? {};
    const whole = Object.entries(shared).map(([name, x]) => `${name} ${x}`);
    fill(
      body,
      ...matrices(candidate.recipe, nameOf).map(table),
      whole.length === 0 ? null : el("p", { class: "caveat" }, `Also: ${whole.join(", ")}.`),
    );
  }
  return { root, update };
}
