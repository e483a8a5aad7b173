// Best so far over evaluations, with every candidate as a faint dot, the generation's mean, and the baselines as lines.

import uPlot from "uplot";
import type { Baseline, History, Summary } from "./api.ts";
import { card, el, fill, say } from "./dom.ts";
import * as format from "./format.ts";
import { seriesOf } from "./series.ts";

const FONT = "11px system-ui, sans-serif";
const HEIGHT = 300;

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Lines across for the baselines, one a value, labelled at the right; the labels are pushed apart where they would meet.
function drawBaselines(plot: uPlot, baselines: Baseline[]): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const right = bbox.left + bbox.width;
  const shown = new Map<number, Baseline[]>();
  for (const baseline of baselines) {
    if (baseline.value !== null) {
      shown.set(baseline.value, [...(shown.get(baseline.value) ?? []), baseline]);
    }
  }
  const lines = [...shown].map(([value, equal]) => ({ y: plot.valToPos(value, "y", true), equal })).sort((a, b) => a.y - b.y);
  const colorOf = (equal: Baseline[]) => color(equal.some((baseline) => baseline.parent) ? "--parent" : "--average");
  let free = bbox.top - 8 * scale;

  ctx.save();
  ctx.lineWidth = scale;
  for (const { y, equal } of lines) {
    ctx.strokeStyle = colorOf(equal);
    ctx.setLineDash(equal.some((baseline) => baseline.parent) ? [6 * scale, 4 * scale] : [2 * scale, 3 * scale]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(right, y);
    ctx.stroke();
  }
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "right";
  ctx.textBaseline = "bottom";
  ctx.lineWidth = 4 * scale;
  ctx.strokeStyle = color("--surface");
  ctx.setLineDash([]);
  for (const { y, equal } of lines) {
    const label = equal.map((baseline) => baseline.label).join(", ");
    free = Math.max(y - 2 * scale, free + 13 * scale);
    ctx.fillStyle = colorOf(equal);
    ctx.strokeText(label, right - 4 * scale, free);
    ctx.fillText(label, right - 4 * scale, free);
  }
  ctx.restore();
}

export function historyView(): { root: HTMLElement; update: (history: History, summary: Summary) => void } {
  const legend = el(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    el("li", { "data-line": "best" }, "best so far"),
    el("li", { "data-line": "mean" }, "generation mean"),
    el("li", { "data-line": "candidate" }, "a candidate"),
    el("li", { "data-line": "parent" }, "parent"),
    el("li", { "data-line": "average" }, "other baseline"),
  );
  const { root, body } = card("history", "Progress", legend);
  const figure = el("div", { class: "plot", role: "img", "aria-label": "No candidates yet" });
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const empty = el("p", { class: "empty" }, "The curve starts with the first generation.");
  fill(body, figure, readout, empty);

  let plot: uPlot | null = null;
  let baselines: Baseline[] = [];
  let share = true;

  function options(width: number): uPlot.Options {
    const axis = { stroke: () => color("--muted"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: true, y: false } },
      scales: {
        x: { time: false },
        y: {
          range: (_u, low, high) => {
            const all = baselines.map((b) => b.value).filter((v): v is number => v !== null);
            const bottom = Math.min(low ?? Infinity, ...all);
            const top = Math.max(high ?? -Infinity, ...all);
            const pad = 0.06 * (top - bottom || 1);
            return [bottom - pad, top + pad];
          },
        },
      },
      axes: [
        { ...axis, size: 28, label: "evaluations", labelSize: 16, labelGap: 0, labelFont: FONT, font: FONT },
        {
          ...axis,
          size: 56,
          font: FONT,
          values: (_u, ticks) => ticks.map((tick) => (share ? `${+(100 * tick).toFixed(1)} %` : `${+tick.toPrecision(4)}`)),
        },
      ],
      series: [
        {},
        { label: "candidate", paths: () => null, points: { show: true, size: 4, width: 0, fill: () => color("--faint") } },
        { label: "mean", stroke: () => color("--mean"), width: 1.5, spanGaps: true, points: { show: false } },
        { label: "best", stroke: () => color("--accent"), width: 2.5, paths: uPlot.paths.stepped?.({ align: 1 }) ?? null, points: { show: false } } as uPlot.Series,
      ],
      hooks: {
        drawAxes: [(u) => drawBaselines(u, baselines)],
        setCursor: [
          (u) => {
            const i = u.cursor.idx;
            if (i === null || i === undefined) {
              say(readout, "");
              return;
            }
            const at = (s: number) => format.value(u.data[s]?.[i], share);
            say(readout, `evaluation ${u.data[0][i] ?? ""}: ${at(1)} · best so far ${at(3)}`);
          },
        ],
      },
    };
  }

  const resize = new ResizeObserver(() => {
    if (plot !== null && figure.clientWidth > 0) {
      plot.setSize({ width: figure.clientWidth, height: HEIGHT });
    }
  });
  resize.observe(figure);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot?.redraw(false, true));

  function update(history: History, summary: Summary): void {
    const series = seriesOf(history);
    const data: uPlot.AlignedData = [series.x, series.candidates, series.mean, series.best];

    baselines = summary.baselines;
    share = format.isShare(summary.tasks);
    empty.hidden = series.x.length > 0;
    figure.hidden = series.x.length === 0;
    if (series.x.length === 0) {
      return;
    }
    if (plot === null) {
      plot = new uPlot(options(figure.clientWidth || 600), data, figure);
    } else {
      plot.setData(data);
    }
    const best = series.best[series.best.length - 1];
    figure.setAttribute(
      "aria-label",
      `Best so far over ${series.x.length} evaluations: from ${format.value(series.best.find((v) => v !== null), share)} to ${format.value(best, share)}. ` +
        baselines.map((b) => `${b.label}: ${format.value(b.value, share)}`).join(". "),
    );
  }
  return { root, update };
}
