// What the server says, as types, and the few ways to ask it. The forms are store/views.h's.

export interface Task {
  name: string;
  metric: string;
  weight: number;
  higher_is_better: boolean;
}

export interface Baseline {
  candidate: number;
  label: string;
  parent: boolean;
  recipe: string;
  value: number | null;
  failure: string | null;
  tasks: Record<string, number | null>;
}

// Of several objectives, one that no other candidate beats in all of them.
export interface FrontRow {
  candidate: number;
  generation: number;
  value: number;
  tasks: Record<string, number | null>;
}

export interface Best {
  candidate: number;
  generation: number;
  label: string;
  recipe: string;
  value: number;
}

// A paired difference with its 95 % interval.
export interface Comparison {
  against: string;
  split: string;
  n: number;
  difference: number;
  low: number;
  high: number;
}

export interface ReportRow {
  candidate: number;
  label: string;
  role: "winner" | "front" | "parent" | "baseline";
  n: number;
  value: number | null;
  difference: number | null; // winner minus this row
  low: number | null;
  high: number | null;
}

// A part of the search, with coordinates and an optimiser of its own. It is there once it has begun.
export interface Phase {
  phase: number;
  name: string;
  optimiser: string;
  why: string; // auto chose it; "": the study names it
  evaluations: number; // at most
  spent: number;
  ending: string; // "": it goes on
  coordinates: number;
}

// How far the scores of a coordinate's steps lie apart.
export interface Effect {
  name: string;
  effect: number;
}

export interface Summary {
  study: string;
  state: "running" | "paused" | "stopped" | "finished" | "failed";
  stage: "baseline" | "search" | "select" | "report" | "finished";
  reason: string;
  trajectory: string;
  generation: number;
  evaluations: number;
  evaluations_max: number;
  done: number;
  failed: number;
  leased: number;
  tasks: Task[];
  objective: string;
  objectives: string[]; // tasks, none when the objective is one number
  front: FrontRow[];
  best: Best | null;
  winner: Best | null;
  baselines: Baseline[];
  comparison: Comparison | null;
  report: ReportRow[];
  verdict: string[];
  phases: Phase[];
  effects: Effect[]; // of a sensitivity pass, the largest first
  cost: { wall_s: number; cpu_s: number; elapsed_s: number };
  eta_s: number | null;
  workers: { known: number; active: number };
  last_event: number;
}

export interface Generation {
  generation: number;
  evaluations: number; // finished when it was told, counted from the start of the search
  best: number | null;
  mean: number | null;
  best_so_far: number | null;
  sigma: number | null;
}

export interface History {
  generations: Generation[];
  values: (number | null)[]; // of each search candidate in order; null: failed or unfinished
  objectives: (number[] | null)[]; // the same in each of several objectives, else empty
}

export interface CandidateRow {
  candidate: number;
  stage: string;
  generation: number;
  label: string;
  status: string;
  value: number | null;
  tasks: Record<string, number | null>;
  wall_s: number | null;
  failure: string | null;
}

export interface CandidatePage {
  total: number;
  rows: CandidateRow[];
}

export interface RecipeGroup {
  component: string;
  layers: [number, number];
  parameters: Record<string, number>;
  sources: Record<string, number>[];
}

// Blocks in the order they run: [model, layer, scale]; model 0 is the merge, i is models[i - 1].
export interface Route {
  hops: [number, number, number][];
  models: string[];
}

export interface Recipe {
  base: string | null;
  dtype: string;
  groups: RecipeGroup[];
  layers: number;
  method: string;
  recipe: number;
  route?: Route;
  seed: number;
  sources: string[];
}

export interface Score {
  task: string;
  split: string;
  metric: string;
  value: number | null;
  error: number | null;
  n: number;
}

export interface Candidate extends CandidateRow {
  recipe: Recipe;
  recipe_digest: string;
  weights: string;
  path: string;
  cpu_s: number | null;
  worker: string;
  detail: string;
  scores: Score[];
}

export interface Worker {
  worker: number;
  name: string;
  state: "working" | "idle" | "silent" | "gone";
  build: string;
  path: string;
  done: number;
  failed: number;
  lost: number;
  invalid: number; // results that were refused
  silent_s: number | null; // since it last said something that was stored
  candidate: number | null; // what it works on
}

export interface LogEvent {
  event: number;
  at: string; // ISO 8601
  kind: string;
  text: string;
}

export interface StudyFacts {
  study: unknown;
  models: { name: string; digest: string }[];
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const TOKEN_KEY = "braid-token";

// A link with #token=... lets its owner in; the token moves to this tab's storage and out of the address bar.
export function adoptToken(): void {
  const match = /^#token=([0-9a-f]{64})$/.exec(location.hash);
  if (match?.[1] !== undefined) {
    sessionStorage.setItem(TOKEN_KEY, match[1]);
    history.replaceState(null, "", location.pathname);
  }
}

export function token(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

export function setToken(value: string | null): void {
  if (value === null) {
    sessionStorage.removeItem(TOKEN_KEY);
  } else {
    sessionStorage.setItem(TOKEN_KEY, value);
  }
}

export function authorization(): Record<string, string> {
  const held = token();
  return held === null ? {} : { Authorization: `Bearer ${held}` };
}

async function answer<T>(response: Response): Promise<T> {
  const body: unknown = response.status === 204 ? null : await response.json();
  if (!response.ok) {
    const line = (body as { error?: unknown } | null)?.error;
    throw new Refused(response.status, typeof line === "string" ? line : `status ${response.status}`);
  }
  return body as T;
}

export async function get<T>(path: string): Promise<T> {
  return answer<T>(await fetch(path, { headers: authorization() }));
}

export async function post<T>(path: string): Promise<T> {
  const headers = { ...authorization(), "Content-Type": "application/json" };
  return answer<T>(await fetch(path, { method: "POST", headers, body: "{}" }));
}
