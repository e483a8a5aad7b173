// Several objectives: candidates over two of them, the front nobody beats, the parents; and the front as a table,
// which is also the way in for keyboards and screen readers. Right and up is always better.

import type { Baseline, FrontRow, History, Summary } from "./api.ts";
import { card, el, fill, say, svg } from "./dom.ts";
import * as format from "./format.ts";

const HEIGHT = 400;
const PAD = { left: 64, right: 16, top: 12, bottom: 44 };

// One direction of the picture: a task's values from low to high, laid between two places of it.
interface Axis {
  name: string;
  higher: boolean; // is better
  low: number;
  high: number;
  from: number;
  to: number;
}

// Round values between two, about five of them.
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  const made: number[] = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9 * step; x += step) {
    made.push(x);
  }
  return made;
}

function axisOf(summary: Summary, name: string, values: number[], from: number, to: number): Axis {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = high > low ? 0.06 * (high - low) : 0.1;
  const higher = summary.tasks.find((task) => task.name === name)?.higher_is_better ?? true;
  return { name, higher, low: low - pad, high: high + pad, from, to };
}

function place(axis: Axis, value: number): number {
  const share = (value - axis.low) / (axis.high - axis.low);
  return axis.from + (axis.higher ? share : 1 - share) * (axis.to - axis.from);
}

function text(x: number, y: number, kind: string, words: string, anchor = "middle"): SVGElement {
  const made = svg("text", { x: x.toFixed(1), y: y.toFixed(1), class: kind, "text-anchor": anchor });
  made.textContent = words;
  return made;
}

function grid(x: Axis, y: Axis, isShare: boolean): SVGElement[] {
  const label = (value: number) => (isShare ? `${+(100 * value).toFixed(1)} %` : `${+value.toPrecision(4)}`);
  const title = (axis: Axis) => axis.name + (axis.higher ? "" : ", lower is better");
  const middle = (y.from + y.to) / 2;
  const upright = text(14, middle, "axis", title(y));
  upright.setAttribute("transform", `rotate(-90 14 ${middle})`);
  return [
    ...ticks(x.low, x.high).flatMap((value) => [
      svg("line", { class: "rule", x1: `${place(x, value)}`, x2: `${place(x, value)}`, y1: `${y.to}`, y2: `${y.from}` }),
      text(place(x, value), y.from + 16, "tick", label(value)),
    ]),
    ...ticks(y.low, y.high).flatMap((value) => [
      svg("line", { class: "rule", x1: `${x.from}`, x2: `${x.to}`, y1: `${place(y, value)}`, y2: `${place(y, value)}` }),
      text(x.from - 6, place(y, value) + 4, "tick", label(value), "end"),
    ]),
    text((x.from + x.to) / 2, HEIGHT - 8, "axis", title(x)),
    upright,
  ];
}

// The edge of what is reached, for two objectives: members stand best in x first.
function edge(front: FrontRow[], x: Axis, y: Axis): SVGElement {
  const points = front.map((row) => [place(x, row.tasks[x.name] ?? NaN), place(y, row.tasks[y.name] ?? NaN)] as const).sort((a, b) => b[0] - a[0]);
  const steps = points.map(([px, py], i) => (i === 0 ? `M${px} ${py}` : `H${px}V${py}`));
  return svg("path", { class: "edge", d: steps.join("") });
}

// A baseline, with its name unless another stands there already.
function mark(baseline: Baseline, before: Baseline[], x: Axis, y: Axis): SVGElement[] {
  const px = place(x, baseline.tasks[x.name] ?? NaN);
  const py = place(y, baseline.tasks[y.name] ?? NaN);
  const kind = baseline.parent ? "parent" : "average";
  const left = px > (x.from + x.to) / 2;
  const near = (a: number, b: number) => Math.abs(a - b) < 12;
  const taken = before.some((b) => near(px, place(x, b.tasks[x.name] ?? NaN)) && near(py, place(y, b.tasks[y.name] ?? NaN)));
  const shape = svg("rect", { class: kind, x: `${px - 4.5}`, y: `${py - 4.5}`, width: "9", height: "9", transform: `rotate(45 ${px} ${py})` });
  return taken ? [shape] : [shape, text(px + (left ? -10 : 10), py + 4, `label ${kind}`, baseline.label, left ? "end" : "start")];
}

export function frontView(): { root: HTMLElement; update: (summary: Summary, history: History) => void } {
  const pickX = el("select", { "aria-label": "Objective to the right" });
  const pickY = el("select", { "aria-label": "Objective upwards" });
  const { root, body } = card("front", "Pareto front", el("span", { class: "filters" }, pickX, pickY));
  const picture = svg("svg", { height: `${HEIGHT}`, role: "img", "aria-label": "No candidates yet" });
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const table = el("table", { class: "plain front" });
  const legend = el(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    el("li", { "data-mark": "front" }, "on the front"),
    el("li", { "data-line": "candidate" }, "another candidate"),
    el("li", { "data-mark": "parent" }, "parent"),
    el("li", { "data-mark": "average" }, "other baseline"),
  );
  const names = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The front, best in the first objective first" }, table);
  fill(body, el("div", { class: "front-pair" }, el("figure", {}, picture, readout, legend), names));
  root.hidden = true;

  const dots = new Map<number, SVGElement>();
  let shown: { summary: Summary; history: History } | null = null;

  function light(row: FrontRow | null, isShare: boolean): void {
    for (const [candidate, dot] of dots) {
      dot.classList.toggle("lit", candidate === row?.candidate);
    }
    const values = row === null ? [] : Object.entries(row.tasks).map(([name, x]) => `${name} ${format.value(x, isShare)}`);
    say(readout, row === null ? "" : `candidate ${row.candidate}: ${values.join(", ")}`);
  }

  function fillTable(summary: Summary, isShare: boolean): void {
    const head = el("tr", {}, el("th", { scope: "col" }, "Candidate"), ...summary.objectives.map((name) => el("th", { scope: "col", class: "numeric" }, name)));
    const rows = summary.front.map((row) => {
      const name = el("button", { type: "button", class: "sort" }, `${row.candidate}`);
      const made = el("tr", {}, el("th", { scope: "row" }, name), ...summary.objectives.map((o) => el("td", { class: "numeric" }, format.value(row.tasks[o], isShare))));
      made.addEventListener("pointerenter", () => light(row, isShare));
      name.addEventListener("focus", () => light(row, isShare));
      name.addEventListener("click", () => light(row, isShare));
      return made;
    });
    fill(table, el("caption", {}, `${summary.front.length} that no other beats in all`), el("thead", {}, head), el("tbody", {}, ...rows));
  }

  function draw(): void {
    if (shown === null) {
      return;
    }
    const { summary, history } = shown;
    const isShare = format.isShare(summary.tasks);
    const [i, j] = [pickX.selectedIndex, pickY.selectedIndex];
    const nameX = summary.objectives[i] ?? "";
    const nameY = summary.objectives[j] ?? "";
    const measured = history.objectives.filter((row): row is number[] => row !== null);
    const marks = summary.baselines.filter((b) => Number.isFinite(b.tasks[nameX] ?? NaN) && Number.isFinite(b.tasks[nameY] ?? NaN));
    const valuesOf = (name: string, k: number) => [...measured.map((row) => row[k] ?? 0), ...marks.map((b) => b.tasks[name] ?? 0)];
    if (measured.length === 0) {
      return;
    }
    const width = Math.max(picture.clientWidth, 280);
    const x = axisOf(summary, nameX, valuesOf(nameX, i), PAD.left, width - PAD.right);
    const y = axisOf(summary, nameY, valuesOf(nameY, j), HEIGHT - PAD.bottom, PAD.top);

    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    dots.clear();
    for (const row of summary.front) {
      const dot = svg("circle", { class: "member", cx: `${place(x, row.tasks[nameX] ?? NaN)}`, cy: `${place(y, row.tasks[nameY] ?? NaN)}`, r: "5" });
      dot.addEventListener("pointerenter", () => light(row, isShare));
      dots.set(row.candidate, dot);
    }
    fill(
      picture,
      ...grid(x, y, isShare),
      ...measured.map((row) => svg("circle", { class: "other", cx: place(x, row[i] ?? NaN).toFixed(1), cy: place(y, row[j] ?? NaN).toFixed(1), r: "2.5" })),
      summary.objectives.length === 2 && i !== j ? edge(summary.front, x, y) : null,
      ...dots.values(),
      ...marks.flatMap((baseline, k) => mark(baseline, marks.slice(0, k), x, y)),
    );
    const most = (name: string) => format.value(summary.front.reduce((best, row) => Math.max(best, row.tasks[name] ?? -Infinity), -Infinity), isShare);
    picture.setAttribute(
      "aria-label",
      `${measured.length} candidates by ${nameX} and ${nameY}; ${summary.front.length} are on the front, up to ${most(nameX)} and ${most(nameY)}. ` +
        marks.map((b) => `${b.label}: ${format.value(b.tasks[nameX], isShare)} and ${format.value(b.tasks[nameY], isShare)}`).join(". "),
    );
  }
  new ResizeObserver(draw).observe(picture);
  pickX.addEventListener("change", draw);
  pickY.addEventListener("change", draw);

  function update(summary: Summary, history: History): void {
    root.hidden = summary.objectives.length === 0 || summary.front.length === 0;
    if (root.hidden) {
      return;
    }
    if (pickX.options.length === 0) {
      fill(pickX, ...summary.objectives.map((name) => el("option", {}, name)));
      fill(pickY, ...summary.objectives.map((name) => el("option", {}, name)));
      pickY.selectedIndex = 1;
    }
    shown = { summary, history };
    fillTable(summary, format.isShare(summary.tasks));
    draw();
  }
  return { root, update };
}
