// A recipe as a picture: parameters by layer group and source; and what differs between two. Pure.

import type { Recipe } from "./api.ts";

export interface Matrix {
  parameter: string;
  columns: string[]; // layer groups, with their component when there are several
  rows: { source: string; values: (number | null)[] }[];
  low: number;
  high: number;
}

function columnName(component: string, layers: [number, number], components: number): string {
  const [first, end] = layers;
  const range = end - first === 1 ? `${first}` : `${first}–${end - 1}`;
  return components > 1 ? `${component} ${range}` : range;
}

// One matrix a source parameter (weight, density, ...), in the order the recipe has them.
export function matrices(recipe: Recipe, nameOf: (digest: string) => string): Matrix[] {
  const names = new Set<string>();
  for (const group of recipe.groups) {
    for (const source of group.sources) {
      for (const name of Object.keys(source)) {
        names.add(name);
      }
    }
  }
  const components = new Set(recipe.groups.map((group) => group.component)).size;
  const columns = recipe.groups.map((group) => columnName(group.component, group.layers, components));
  const result: Matrix[] = [];
  for (const parameter of [...names].sort((a, b) => (a === "weight" ? -1 : b === "weight" ? 1 : a < b ? -1 : 1))) {
    const rows = recipe.sources.map((digest, s) => ({
      source: nameOf(digest),
      values: recipe.groups.map((group) => group.sources[s]?.[parameter] ?? null),
    }));
    const all = rows.flatMap((row) => row.values).filter((x): x is number => x !== null);
    result.push({ parameter, columns, rows, low: Math.min(0, ...all), high: Math.max(0, ...all) });
  }
  return result;
}

// Every number of a recipe under a name a person can read.
export function flatten(recipe: Recipe, nameOf: (digest: string) => string): Map<string, number | string> {
  const flat = new Map<string, number | string>();
  const components = new Set(recipe.groups.map((group) => group.component)).size;
  flat.set("method", recipe.method);
  for (const group of recipe.groups) {
    const where = `layers ${columnName(group.component, group.layers, components)}`;
    group.sources.forEach((source, s) => {
      for (const [name, x] of Object.entries(source)) {
        flat.set(`${nameOf(recipe.sources[s] ?? "?")}, ${where}, ${name}`, x);
      }
    });
    for (const [name, x] of Object.entries(group.parameters)) {
      flat.set(`${where}, ${name}`, x);
    }
  }
  return flat;
}

export interface Difference {
  name: string;
  a: number | string | null;
  b: number | string | null;
}

// What differs, largest change first; texts before numbers.
export function diff(a: Map<string, number | string>, b: Map<string, number | string>): Difference[] {
  const differences: Difference[] = [];
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const left = a.get(name) ?? null;
    const right = b.get(name) ?? null;
    if (left !== right) {
      differences.push({ name, a: left, b: right });
    }
  }
  const size = (d: Difference) => (typeof d.a === "number" && typeof d.b === "number" ? Math.abs(d.a - d.b) : Infinity);
  return differences.sort((x, y) => {
    const gap = size(y) - size(x);
    return Number.isNaN(gap) || gap === 0 ? (x.name < y.name ? -1 : 1) : gap;
  });
}
