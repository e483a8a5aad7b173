// Which model feeds which layer: the best candidate's route, hop by hop, and its coefficients; tables whose cells are
// coloured by depth and by value.

import type { Candidate, Recipe } from "./api.ts";
import { card, el, fill } from "./dom.ts";
import { matrices, routeText, tracks } from "./recipe.ts";
import type { Matrix } from "./recipe.ts";

type NameOf = (digest: string) => string;

function scrolled(label: string, table: HTMLElement): HTMLElement {
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, table);
}

// A row a model, a column a hop; the deeper the layer, the stronger its cell, so that a jump shows as a step.
function route(recipe: Recipe, nameOf: NameOf): HTMLElement {
  const picture = tracks(recipe, nameOf);
  const deepest = Math.max(1, ...picture.tracks.flatMap((track) => track.layers.map((layer) => layer ?? 0)));
  const rows = picture.tracks.map((track, i) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, track.source),
      ...track.layers.map((layer) => {
        const cell = el("td", {}, layer === null ? "" : `${layer}`);
        if (layer !== null) {
          cell.className = i === 0 ? "positive" : "foreign";
          cell.style.setProperty("--strength", (0.15 + (0.85 * layer) / deepest).toFixed(3));
        }
        return cell;
      }),
    ),
  );
  const scales = picture.scales?.map((scale) => el("td", {}, scale === 1 ? "" : `${+scale.toPrecision(3)}`)) ?? [];
  return scrolled(
    "route by model and hop",
    el(
      "table",
      { class: "heat route" },
      el("caption", {}, "route", el("span", {}, ` ${routeText(recipe, nameOf)}`)),
      el("tbody", {}, ...rows, scales.length === 0 ? null : el("tr", {}, el("th", { scope: "row" }, "scale"), ...scales)),
    ),
  );
}

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
  return scrolled(
    `${matrix.parameter} by source and layers`,
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
  update: (candidate: Candidate | null, nameOf: NameOf) => void;
} {
  const aside = el("span", { class: "aside" });
  const { root, body } = card("heatmap", "Which model feeds which layers", aside);

  function update(candidate: Candidate | null, nameOf: NameOf): void {
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
      candidate.recipe.route === undefined ? null : route(candidate.recipe, nameOf),
      ...matrices(candidate.recipe, nameOf).map(table),
      whole.length === 0 ? null : el("p", { class: "caveat" }, `Also: ${whole.join(", ")}.`),
    );
  }
  return { root, update };
}
