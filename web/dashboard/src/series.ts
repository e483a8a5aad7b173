// The curve of a search as columns. Pure.

import type { History } from "./api.ts";

export interface Series {
  x: number[];
  candidates: (number | null)[];
  best: (number | null)[];
  mean: (number | null)[];
}

// One row a candidate: its own value, the best up to it, and the mean where a generation ends.
export function seriesOf(history: History): Series {
  const series: Series = { x: [], candidates: [], best: [], mean: [] };
  const meanAt = new Map(history.generations.map((generation) => [generation.evaluations, generation.mean]));
  let best: number | null = null;
  history.values.forEach((value, i) => {
    if (value !== null && (best === null || value > best)) {
      best = value;
    }
    series.x.push(i + 1);
    series.candidates.push(value);
    series.best.push(best);
    series.mean.push(meanAt.get(i + 1) ?? null);
  });
  return series;
}
