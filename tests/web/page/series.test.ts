import assert from "node:assert/strict";
import { test } from "node:test";
import { seriesOf } from "../src/series.ts";

test("best so far never falls, and failed candidates leave a gap", () => {
  const series = seriesOf({ generations: [], values: [0.4, null, 0.3, 0.6] });
  assert.deepEqual(series.x, [1, 2, 3, 4]);
  assert.deepEqual(series.candidates, [0.4, null, 0.3, 0.6]);
  assert.deepEqual(series.best, [0.4, 0.4, 0.4, 0.6]);
});

test("nothing is best before the first value", () => {
  assert.deepEqual(seriesOf({ generations: [], values: [null, 0.2] }).best, [null, 0.2]);
});

test("the mean stands where its generation ended", () => {
  const generation = { generation: 0, evaluations: 2, best: 0.5, mean: 0.45, best_so_far: 0.5, sigma: 0.2 };
  assert.deepEqual(seriesOf({ generations: [generation], values: [0.4, 0.5, 0.1] }).mean, [null, 0.45, null]);
});
