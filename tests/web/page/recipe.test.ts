import assert from "node:assert/strict";
import { test } from "node:test";
import type { Recipe } from "../src/api.ts";
import { diff, flatten, matrices, routeText, tracks } from "../src/recipe.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const nameOf = (digest: string) => (digest === A ? "adder" : "reverser");

function recipe(weights: [number, number][], component = "all"): Recipe {
  return {
    base: null, dtype: "bfloat16", layers: 4, method: "task_arithmetic", recipe: 1, seed: 7, sources: [A, B],
    groups: weights.map(([a, b], i) => ({
      component: i === 1 ? component : "all",
      layers: [2 * i, 2 * i + 2],
      parameters: { lambda: 1 },
      sources: [{ weight: a }, { weight: b }],
    })),
  };
}

test("a matrix has a row a source and a column a layer group", () => {
  const [matrix] = matrices(recipe([[0.1, 0.2], [0.3, -0.4]]), nameOf);
  assert.ok(matrix !== undefined);
  assert.equal(matrix.parameter, "weight");
  assert.deepEqual(matrix.columns, ["0–1", "2–3"]);
  assert.deepEqual(matrix.rows, [
    { source: "adder", values: [0.1, 0.3] },
    { source: "reverser", values: [0.2, -0.4] },
  ]);
  assert.equal(matrix.low, -0.4);
  assert.equal(matrix.high, 0.3);
});

test("columns name their component when there are several", () => {
  assert.deepEqual(matrices(recipe([[0, 0], [0, 0]], "mlp"), nameOf)[0]?.columns, ["all 0–1", "mlp 2–3"]);
});

test("a diff lists what differs, the largest change first", () => {
  const left = flatten(recipe([[0.1, 0.2], [0.3, 0.4]]), nameOf);
  const right = flatten(recipe([[0.1, 0.3], [0.9, 0.4]]), nameOf);
  assert.deepEqual(diff(left, right).map((d) => d.name), ["adder, layers 2–3, weight", "reverser, layers 0–1, weight"]);
  assert.deepEqual(diff(left, left), []);
});

test("a setting that only one side has is a difference", () => {
  const left = new Map<string, number | string>([["method", "ties"], ["x", 1]]);
  const right = new Map<string, number | string>([["method", "linear"]]);
  assert.deepEqual(diff(left, right), [
    { name: "method", a: "ties", b: "linear" },
    { name: "x", a: 1, b: null },
  ]);
});

function routed(): Recipe {
  const hops: [number, number, number][] = [[0, 0, 1], [0, 1, 1], [1, 5, 1.4], [0, 2, 1], [0, 2, 1]];
  return { ...recipe([]), method: "passthrough", sources: [A], route: { hops, models: [B] } };
}

test("a route is a track a model, hops from left to right", () => {
  assert.deepEqual(tracks(routed(), nameOf), {
    tracks: [
      { source: "adder", layers: [0, 1, null, 2, 2] },
      { source: "reverser", layers: [null, null, 5, null, null] },
    ],
    scales: [1, 1, 1.4, 1, 1],
  });
  assert.deepEqual(tracks(recipe([]), nameOf), { tracks: [], scales: null });
});

test("a route in words names spans, repeats apart, scales behind their layer", () => {
  assert.equal(routeText(routed(), nameOf), "adder 0–1, reverser 5 × 1.4, adder 2, adder 2");
  assert.equal(flatten(routed(), nameOf).get("route"), "adder 0–1, reverser 5 × 1.4, adder 2, adder 2");
});

test("the host of a route over a merge is the merge", () => {
  const merged = { ...routed(), method: "linear", sources: [A, B] };
  assert.equal(tracks(merged, nameOf).tracks[0]?.source, "the merge");
});
