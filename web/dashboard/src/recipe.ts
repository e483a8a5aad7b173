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
    if (parameter === "scale" && all.every((x) => x === 1)) {
      continue; // layers that are taken as they are
    }
    result.push({ parameter, columns, rows, low: Math.min(0, ...all), high: Math.max(0, ...all) });
  }
  return result;
}

export interface Track {
  source: string;
  layers: (number | null)[]; // of each hop the layer, null where it goes through another model
}

function hostName(recipe: Recipe, nameOf: (digest: string) => string): string {
  const only = recipe.sources[0];
  return recipe.method === "passthrough" && only !== undefined ? nameOf(only) : "the merge";
}

// A route as tracks, one a model, hops from left to right; and the scales, null when none changes anything.
export function tracks(recipe: Recipe, nameOf: (digest: string) => string): { tracks: Track[]; scales: number[] | null } {
  const { hops, models } = recipe.route ?? { hops: [], models: [] };
  const names = [hostName(recipe, nameOf), ...models.map(nameOf)];
  const used = names.map((source, m) => ({ source, layers: hops.map(([model, layer]) => (model === m ? layer : null)) }));
  const scales = hops.map(([, , scale]) => scale);
  return {
    tracks: used.filter((track) => track.layers.some((layer) => layer !== null)),
    scales: scales.some((scale) => scale !== 1) ? scales : null,
  };
}

// The route in words: "base 0–7, math 8, base 9–11"; a scale behind its layer.
export function routeText(recipe: Recipe, nameOf: (digest: string) => string): string {
  const names = [hostName(recipe, nameOf), ...(recipe.route?.models ?? []).map(nameOf)];
  const spans: { model: number; first: number; last: number; scale: number }[] = [];
  for (const [model, layer, scale] of recipe.route?.hops ?? []) {
    const open = spans[spans.length - 1];
    if (open !== undefined && open.model === model && open.last + 1 === layer && open.scale === 1 && scale === 1) {
      open.last = layer;
    } else {
      spans.push({ model, first: layer, last: layer, scale });
    }
  }
  return spans
    .map(({ model, first, last, scale }) => {
      const range = first === last ? `${first}` : `${first}–${last}`;
      return `${names[model] ?? "?"} ${range}${scale === 1 ? "" : ` × ${+scale.toPrecision(4)}`}`;
    })
    .join(", ");
}

// Every number of a recipe under a name a person can read.
export function flatten(recipe: Recipe, nameOf: (digest: string) => string): Map<string, number | string> {
  const flat = new Map<string, number | string>();
  const components = new Set(recipe.groups.map((group) => group.component)).size;
  flat.set("method", recipe.method);
  if (recipe.route !== undefined) {
    flat.set("route", routeText(recipe, nameOf));
  }
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
