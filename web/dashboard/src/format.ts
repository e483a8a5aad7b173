// Numbers and states as people read them. Pure: no page, no clock.

import type { ReportRow, Summary, Task } from "./api.ts";

const SHARES = new Set(["acc", "acc_norm", "exact_match", "f1", "contains"]);

// Are all values shares of documents, so that 0.613 is best read as 61.3 %?
export function isShare(tasks: readonly Pick<Task, "metric">[]): boolean {
  return tasks.length > 0 && tasks.every((task) => SHARES.has(task.metric));
}

export function value(x: number | null | undefined, share: boolean): string {
  if (x === null || x === undefined || !Number.isFinite(x)) {
    return "–";
  }
  const text = share ? `${(100 * x).toFixed(1)}\u00a0%` : x.toFixed(4);
  return text.replace("-", "−");
}

// Of two values: "+6.1" points of a share, or a plain signed number.
export function difference(x: number, share: boolean): string {
  const text = share ? Math.abs(100 * x).toFixed(1) : Math.abs(x).toFixed(4);
  return Number(text) === 0 ? text : (x < 0 ? "−" : "+") + text;
}

export function points(x: number, share: boolean): string {
  return share ? `${Math.abs(100 * x).toFixed(1)} points` : Math.abs(x).toFixed(4);
}

export function interval(low: number, high: number, share: boolean): string {
  const scale = share ? 100 : 1;
  const digits = share ? 1 : 4;
  const one = (x: number) => (x < 0 ? "−" : "") + Math.abs(scale * x).toFixed(digits);
  return `${one(low)} to ${one(high)}`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds) || seconds < 0) {
    return "–";
  }
  if (seconds < 1) {
    return `${Math.round(1000 * seconds)} ms`;
  }
  if (seconds < 10) {
    return `${seconds.toFixed(1)} s`;
  }
  const s = Math.round(seconds);
  if (s < 60) {
    return `${s} s`;
  }
  if (s < 3600) {
    return `${Math.floor(s / 60)} min ${s % 60} s`;
  }
  if (s < 172800) {
    return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  }
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function count(n: number): string {
  return n.toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function shortDigest(digest: string): string {
  return digest.length > 12 ? digest.slice(0, 12) : digest;
}

export function stateWord(summary: Pick<Summary, "state" | "stage">): string {
  switch (summary.state) {
    case "finished":
      return "Finished";
    case "paused":
      return "Paused";
    case "stopped":
      return "Stopped";
    case "failed":
      return "Failed";
    default:
      return { baseline: "Measuring baselines", search: "Searching", select: "Choosing the winner", report: "Final report", finished: "Finished" }[
        summary.stage
      ];
  }
}

// The best parent of the final table.
export function bestParent(report: readonly ReportRow[]): ReportRow | null {
  let best: ReportRow | null = null;
  for (const row of report) {
    if (row.role === "parent" && row.value !== null && (best === null || row.value > (best.value ?? -Infinity))) {
      best = row;
    }
  }
  return best;
}

// As a sentence: capital at the start, full stop at the end.
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// The one sentence a person wants first.
export function headline(summary: Summary): string {
  const share = isShare(summary.tasks);
  if (summary.verdict[0] !== undefined) {
    return sentence(summary.verdict[0]);
  }
  if (summary.best === null) {
    return summary.stage === "baseline" ? "Measuring the parents first, so that there is something to beat." : "No candidate has a score yet.";
  }
  const against = summary.comparison;
  if (against === null) {
    return `Best so far: ${value(summary.best.value, share)}.`;
  }
  if (against.low > 0) {
    return `Best so far ${value(summary.best.value, share)}: ${points(against.difference, share)} above the best parent.`;
  }
  if (against.difference > 0) {
    return `Best so far ${value(summary.best.value, share)}: ahead of the best parent, but not yet clearly.`;
  }
  return "No merge beats the best parent yet.";
}

// What the headline rests on.
export function caveat(summary: Summary): string {
  const share = isShare(summary.tasks);
  const against = summary.comparison;
  if (summary.report.length > 0) {
    const parent = bestParent(summary.report);
    const untested = summary.verdict.find((said) => said.includes("the same data in every split"));
    if (untested !== undefined) {
      return sentence(untested);
    }
    if (parent === null || parent.low === null || parent.high === null) {
      return "";
    }
    return `Measured once, on ${count(parent.n)} report documents that neither the search nor the choice has seen. Winner minus ${parent.label}: ${interval(parent.low, parent.high, share)}, 95\u00a0% paired interval.`;
  }
  if (against === null) {
    return "";
  }
  return `Against ${against.against} on the same ${count(against.n)} ${against.split} documents: ${difference(against.difference, share)} (${interval(against.low, against.high, share)}, 95\u00a0% paired interval). The best of many looks better than it is; the report split will tell.`;
}

// What happens next, or what to do.
export function nextStep(summary: Summary): string {
  switch (summary.state) {
    case "finished":
      return "Export the winner: braid export DATABASE OUT/";
    case "paused":
      return "Nothing is handed out until someone resumes.";
    case "stopped":
      return "Start braid search again on the same study to go on.";
    case "failed":
      return summary.reason === "" ? "The log below says why." : summary.reason;
  }
  switch (summary.stage) {
    case "baseline":
      return "Then the search begins.";
    case "search":
      return "Then the finalists are compared on documents the search has not seen.";
    case "select":
      return "Then winner and baselines meet on the report documents, once.";
    default:
      return "Almost done.";
  }
}
