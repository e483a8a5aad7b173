// The first thing seen: how it stands in one sentence, how far along it is, what it has cost.

import type { Phase, Summary } from "./api.ts";
import { card, el, fill, say } from "./dom.ts";
import * as format from "./format.ts";

const STAGES = [
  ["baseline", "Baselines"],
  ["search", "Search"],
  ["select", "Select"],
  ["report", "Report"],
] as const;

function tile(label: string): { root: HTMLElement; value: HTMLElement; note: HTMLElement } {
  const value = el("dd", { class: "tile-value" }, "–");
  const note = el("dd", { class: "tile-note" });
  return { root: el("div", { class: "tile" }, el("dt", {}, label), value, note), value, note };
}

function phaseItem(phase: Phase): HTMLElement {
  const over = phase.ending !== "";
  const item = el(
    "li",
    { "data-state": over ? "done" : "now", title: over ? `ended: ${phase.ending}` : phase.why },
    phase.name,
    el("span", { class: "tile-note" }, ` ${format.count(phase.coordinates)} coordinates, ${phase.optimiser}, ${format.count(phase.spent)} evaluations`),
  );
  if (!over) {
    item.setAttribute("aria-current", "step");
  }
  return item;
}

export function summaryView(): { root: HTMLElement; update: (summary: Summary) => void } {
  const sentence = el("p", { class: "headline" });
  const rest = el("ul", { class: "verdict" });
  const caveat = el("p", { class: "caveat" });
  const steps = el("ol", { class: "steps", "aria-label": "Stages of the study" });
  const phases = el("ol", { class: "steps", "aria-label": "Phases of the search" });
  const matters = el("p", { class: "progress-text" });
  const bar = el("progress", { class: "bar", max: "1", "aria-label": "Evaluations of the search" });
  const progress = el("p", { class: "progress-text" });
  const next = el("p", { class: "next" });
  const tiles = {
    best: tile("Best, search documents"),
    evaluations: tile("Evaluations"),
    failed: tile("Failed"),
    time: tile("Elapsed"),
    cost: tile("Compute"),
    workers: tile("Workers"),
  };
  const stepOf = new Map<string, HTMLElement>();
  for (const [stage, label] of STAGES) {
    const step = el("li", {}, label);
    stepOf.set(stage, step);
    steps.append(step);
  }
  const digest = el("code", { class: "digest" });
  const copy = el("button", { type: "button", class: "quiet", "aria-label": "Copy the trajectory hash" }, "copy");
  let trajectory = "";
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(trajectory).then(() => {
      say(copy, "copied");
      setTimeout(() => say(copy, "copy"), 1500);
    });
  });
  const { root, body } = card("summary", "Summary");
  root.classList.add("hero");
  fill(
    body,
    el("div", { "aria-live": "polite" }, sentence, rest, caveat),
    steps,
    phases,
    matters,
    el("div", { class: "progress" }, bar, progress),
    el("dl", { class: "tiles" }, ...Object.values(tiles).map((one) => one.root)),
    next,
    el("p", { class: "trajectory" }, "Trajectory ", digest, copy),
  );

  function markStages(summary: Summary): void {
    const at = STAGES.findIndex(([stage]) => stage === summary.stage);
    STAGES.forEach(([stage], i) => {
      const step = stepOf.get(stage);
      const done = summary.state === "finished" || i < at;
      step?.setAttribute("data-state", done ? "done" : i === at ? "now" : "later");
      if (!done && i === at) {
        step?.setAttribute("aria-current", "step");
      } else {
        step?.removeAttribute("aria-current");
      }
    });
  }

  function update(summary: Summary): void {
    const share = format.isShare(summary.tasks);

    say(sentence, format.headline(summary));
    fill(rest, ...summary.verdict.slice(1).map((line) => el("li", {}, format.sentence(line))));
    say(caveat, format.caveat(summary));
    markStages(summary);
    phases.hidden = summary.phases.length < 2;
    fill(phases, ...summary.phases.map(phaseItem));
    const top = summary.effects.slice(0, 3).map((one) => one.name);
    say(matters, top.length === 0 ? "" : `Most depends on ${top.join(", ")}.`);
    bar.max = Math.max(1, summary.evaluations_max);
    bar.value = summary.state === "finished" ? bar.max : summary.evaluations;
    bar.hidden = summary.state === "finished";
    const eta = summary.eta_s === null ? "" : ` · about ${format.duration(summary.eta_s)} to go`;
    say(
      progress,
      summary.state === "finished"
        ? ""
        : `${format.count(summary.evaluations)} of at most ${format.count(summary.evaluations_max)} evaluations${eta}`,
    );
    say(tiles.best.value, format.value(summary.best?.value, share));
    say(tiles.best.note, summary.best === null ? "none yet" : `candidate ${summary.best.candidate}`);
    say(tiles.evaluations.value, format.count(summary.evaluations));
    say(tiles.evaluations.note, `${format.count(summary.generation)} generations`);
    say(tiles.failed.value, format.count(summary.failed));
    say(tiles.failed.note, summary.failed === 0 ? "none" : "kept with their reasons");
    say(tiles.time.value, format.duration(summary.cost.elapsed_s));
    say(tiles.time.note, "since the first event");
    say(tiles.cost.value, format.duration(summary.cost.cpu_s));
    say(tiles.cost.note, "of processor time");
    say(tiles.workers.value, format.count(summary.workers.active));
    say(tiles.workers.note, `${format.count(summary.leased)} candidates in work`);
    say(next, format.nextStep(summary));
    trajectory = summary.trajectory;
    say(digest, format.shortDigest(summary.trajectory));
    digest.title = summary.trajectory;
  }
  return { root, update };
}
