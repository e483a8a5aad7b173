// The rows of the comparison with parents and baselines. Pure.

import type { Summary } from "./api.ts";
import * as format from "./format.ts";

export interface Line {
  label: string;
  kind: string;
  value: number | null;
  note: string;
}

// The final table when there is one, else what is known from the search documents.
export function standingLines(summary: Summary): { lines: Line[]; on: string } {
  const share = format.isShare(summary.tasks);
  if (summary.report.length > 0) {
    const lines = summary.report.map((row) => ({
      label: row.role === "winner" ? `winner, candidate ${summary.winner?.candidate ?? row.candidate}` : row.label,
      kind: row.role,
      value: row.value,
      note:
        row.difference === null || row.low === null || row.high === null
          ? ""
          : `winner ${format.difference(row.difference, share)} (${format.interval(row.low, row.high, share)})`,
    }));
    const n = summary.report[0]?.n ?? 0;
    return { lines, on: n > 0 ? `on ${format.count(n)} report documents` : "on the report split" };
  }
  const lines: Line[] = summary.baselines.map((baseline) => ({
    label: baseline.label,
    kind: baseline.parent ? "parent" : "baseline",
    value: baseline.value,
    note: baseline.failure ?? "",
  }));
  if (summary.best !== null) {
    lines.unshift({ label: `best, candidate ${summary.best.candidate}`, kind: "winner", value: summary.best.value, note: "" });
  }
  return { lines, on: "on the search documents" };
}
