import assert from "node:assert/strict";
import { test } from "node:test";
import type { Recipe } from "../src/api.ts";
import { diff, flatten, matrices } from "../src/recipe.ts";

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
