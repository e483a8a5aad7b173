import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReportRow, Summary } from "../src/api.ts";
import * as format from "../src/format.ts";

const share = [{ name: "addition", metric: "exact_match", weight: 1, higher_is_better: true }];

function summary(changes: Partial<Summary>): Summary {
  return {
    study: "night", state: "running", stage: "search", reason: "", trajectory: "", generation: 3, evaluations: 30,
    evaluations_max: 300, done: 35, failed: 0, leased: 2, tasks: share, objective: "weighted_mean", best: null,
    winner: null, baselines: [], comparison: null, report: [], verdict: [], cost: { wall_s: 0, cpu_s: 0, elapsed_s: 0 },
    eta_s: null, workers: { known: 0, active: 0 }, last_event: 0, ...changes,
  };
}

const best = { candidate: 9, generation: 2, label: "", recipe: "", value: 0.613 };

test("shares of documents read as percentages, other metrics as numbers", () => {
  assert.equal(format.value(0.613, true), "61.3\u00a0%");
  assert.equal(format.value(-1.23456, false), "−1.2346");
  assert.equal(format.value(null, true), "–");
  assert.equal(format.value(Number.NaN, true), "–");
  assert.equal(format.isShare(share), true);
  assert.equal(format.isShare([{ metric: "exact_match" }, { metric: "choice_logprob" }]), false);
  assert.equal(format.isShare([]), false);
});

test("differences carry their sign, intervals both ends", () => {
  assert.equal(format.difference(0.061, true), "+6.1");
  assert.equal(format.difference(-0.061, true), "−6.1");
  assert.equal(format.difference(-0.0001, true), "0.0");
  assert.equal(format.interval(-0.012, 0.083, true), "−1.2 to 8.3");
});

test("durations take the unit a person would", () => {
  assert.equal(format.duration(0.25), "250 ms");
  assert.equal(format.duration(9.96), "10.0 s");
  assert.equal(format.duration(59.7), "1 min 0 s");
  assert.equal(format.duration(3725), "1 h 2 min");
  assert.equal(format.duration(200000), "2 d 7 h");
  assert.equal(format.duration(null), "–");
  assert.equal(format.duration(-1), "–");
});

test("large counts are grouped", () => {
  assert.equal(format.count(999), "999");
  assert.equal(format.count(10000), "10\u202f000");
});

test("the headline does not claim a win that the interval does not show", () => {
  const against = { against: "parent adder", split: "search", n: 120, difference: 0.05 };
  assert.match(format.headline(summary({ best, comparison: { ...against, low: 0.01, high: 0.09 } })), /5\.0 points above the best parent/);
  assert.match(format.headline(summary({ best, comparison: { ...against, low: -0.01, high: 0.11 } })), /not yet clearly/);
  assert.match(format.headline(summary({ best, comparison: { ...against, difference: -0.01, low: -0.05, high: 0.03 } })), /No merge beats/);
  assert.equal(format.headline(summary({ best, verdict: ["no merge beat the best parent"] })), "No merge beat the best parent.");
});

test("before anything is scored the headline says what is going on", () => {
  assert.match(format.headline(summary({ stage: "baseline" })), /parents first/);
  assert.match(format.headline(summary({})), /No candidate/);
});

test("the best parent of the report is the one with the highest value", () => {
  const row = { candidate: 1, n: 100, difference: 0.1, low: 0, high: 0.2 };
  const rows: ReportRow[] = [
    { ...row, label: "winner", role: "winner", value: 0.9 },
    { ...row, label: "adder", role: "parent", value: 0.5 },
    { ...row, label: "reverser", role: "parent", value: 0.6 },
    { ...row, label: "uniform average", role: "baseline", value: 0.7 },
  ];
  assert.equal(format.bestParent(rows)?.label, "reverser");
  assert.match(format.caveat(summary({ report: rows })), /100 report documents .* Winner minus reverser/);
  const verdict = ["above the best parent", "add was scored on the same data in every split: not a test"];
  assert.match(format.caveat(summary({ report: rows, verdict })), /^Add was scored on the same data in every split/);
  assert.equal(format.bestParent([]), null);
});

test("a study that failed says why and what to do", () => {
  assert.equal(format.nextStep(summary({ state: "failed", reason: "three candidates in a row ran out of memory" })), "three candidates in a row ran out of memory");
  assert.match(format.nextStep(summary({ state: "finished", stage: "finished" })), /braid export/);
});
