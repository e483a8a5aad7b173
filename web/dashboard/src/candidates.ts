// Every candidate: sort, filter, page; select one for its recipe and scores, two for what differs.

import { get } from "./api.ts";
import type { Candidate, CandidatePage, CandidateRow, Summary } from "./api.ts";
import { button, card, el, fill, say } from "./dom.ts";
import * as format from "./format.ts";
import { diff, flatten, matrices } from "./recipe.ts";

const PAGE = 12;

type Sort = "number" | "value" | "generation" | "wall";

interface Column {
  key: Sort | null;
  label: string;
  numeric: boolean;
  text: (row: CandidateRow, share: boolean) => string;
}

const COLUMNS: Column[] = [
  { key: "number", label: "Candidate", numeric: true, text: (row) => `${row.candidate}` },
  { key: "generation", label: "Generation", numeric: true, text: (row) => (row.stage === "search" ? `${row.generation}` : "–") },
  { key: null, label: "What", numeric: false, text: (row) => (row.label === "" ? row.stage : row.label) },
  { key: "value", label: "Value", numeric: true, text: (row, share) => format.value(row.value, share) },
  { key: null, label: "Status", numeric: false, text: (row) => (row.failure === null ? row.status : `${row.status}: ${row.failure}`) },
  { key: "wall", label: "Time", numeric: true, text: (row) => format.duration(row.wall_s) },
];

export function candidatesView(nameOf: (digest: string) => string): {
  root: HTMLElement;
  update: (summary: Summary) => void;
} {
  const stage = select("Stage", ["", "baseline", "search", "select", "report"], ["all stages", "baselines", "search", "select", "report"]);
  const status = select("Status", ["", "done", "failed", "leased", "pending"], ["any status", "done", "failed", "in work", "waiting"]);
  const { root, body } = card("candidates", "Candidates", el("span", { class: "filters" }, stage, status));
  const headRow = el("tr");
  const rows = el("tbody");
  const detail = el("div", { class: "detail", "aria-live": "polite" });
  const where = el("span", { class: "aside" });
  const back = button("Earlier", "quiet", () => page(-1));
  const on = button("Later", "quiet", () => page(1));
  const chosen: number[] = [];
  let sort: Sort = "value";
  let descending = true;
  let offset = 0;
  let total = 0;
  let share = true;
  let latest = 0;

  fill(
    body,
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of candidates" },
      el("table", { class: "candidates" }, el("thead", {}, headRow), rows),
    ),
    el("div", { class: "pager" }, back, where, on),
    detail,
  );
  stage.addEventListener("change", restart);
  status.addEventListener("change", restart);
  drawHead();
  drawDetail([]);

  function select(label: string, values: string[], names: string[]): HTMLSelectElement {
    const made = el("select", { "aria-label": label });
    values.forEach((value, i) => made.append(el("option", { value }, names[i] ?? value)));
    return made;
  }

  function restart(): void {
    offset = 0;
    void load();
  }

  function page(step: number): void {
    offset = Math.max(0, offset + step * PAGE);
    void load();
  }

  function drawHead(): void {
    fill(
      headRow,
      el("td"),
      ...COLUMNS.map((column) => {
        const cell = el("th", { scope: "col", class: column.numeric ? "numeric" : "" });
        const key = column.key;
        if (key === null) {
          cell.textContent = column.label;
          return cell;
        }
        const here = key === sort;
        cell.setAttribute("aria-sort", here ? (descending ? "descending" : "ascending") : "none");
        cell.append(
          button(`${column.label}${here ? (descending ? " ↓" : " ↑") : ""}`, "sort", () => {
            descending = here ? !descending : key === "value";
            sort = key;
            drawHead();
            restart();
          }),
        );
        return cell;
      }),
    );
  }

  async function load(): Promise<void> {
    const turn = ++latest;
    const query = new URLSearchParams({
      sort,
      order: descending ? "desc" : "asc",
      offset: `${offset}`,
      limit: `${PAGE}`,
    });
    if (stage.value !== "") {
      query.set("stage", stage.value);
    }
    if (status.value !== "") {
      query.set("status", status.value);
    }
    const answer = await get<CandidatePage>(`/api/candidates?${query}`);
    if (turn === latest) {
      draw(answer);
    }
  }

  function draw(answer: CandidatePage): void {
    total = answer.total;
    fill(rows, ...answer.rows.map(drawRow));
    if (answer.rows.length === 0) {
      fill(rows, el("tr", {}, el("td", { colspan: `${COLUMNS.length + 1}`, class: "empty" }, "No candidate fits.")));
    }
    say(where, total === 0 ? "" : `${offset + 1}–${Math.min(offset + PAGE, total)} of ${format.count(total)}`);
    back.disabled = offset === 0;
    on.disabled = offset + PAGE >= total;
  }

  function drawRow(row: CandidateRow): HTMLElement {
    const check = el("input", { type: "checkbox", "aria-label": `Select candidate ${row.candidate}` });
    check.checked = chosen.includes(row.candidate);
    check.addEventListener("change", () => choose(row.candidate, check.checked));
    const line = el(
      "tr",
      { "data-status": row.status, "data-candidate": `${row.candidate}` },
      el("td", {}, check),
      ...COLUMNS.map((column) => el("td", column.numeric ? { class: "numeric" } : {}, column.text(row, share))),
    );
    line.classList.toggle("chosen", check.checked);
    return line;
  }

  // At most two: a third takes the place of the older one.
  function choose(candidate: number, wanted: boolean): void {
    const at = chosen.indexOf(candidate);
    if (at >= 0) {
      chosen.splice(at, 1);
    }
    if (wanted) {
      chosen.push(candidate);
      if (chosen.length > 2) {
        chosen.shift();
      }
    }
    for (const line of rows.querySelectorAll("tr")) {
      const here = chosen.includes(Number(line.dataset["candidate"]));
      line.classList.toggle("chosen", here);
      const check = line.querySelector("input");
      if (check !== null) {
        check.checked = here;
      }
    }
    void Promise.all(chosen.map((one) => get<Candidate>(`/api/candidate/${one}`))).then(drawDetail);
  }

  function drawDetail(shown: Candidate[]): void {
    const [a, b] = shown;
    if (a === undefined) {
      fill(detail, el("p", { class: "hint" }, "Select a candidate for its recipe and scores, two for what differs between them."));
    } else if (b === undefined) {
      fill(detail, one(a));
    } else {
      fill(detail, two(a, b));
    }
  }

  function scores(candidate: Candidate): HTMLElement {
    return el(
      "table",
      { class: "plain" },
      el("caption", {}, "Scores"),
      el("thead", {}, el("tr", {}, ...["Task", "Documents", "Metric", "Value", "Standard error"].map((name, i) => el("th", { scope: "col", class: i > 2 ? "numeric" : "" }, name)))),
      el(
        "tbody",
        {},
        ...candidate.scores.map((score) => {
          const percent = format.isShare([score]);
          return el(
            "tr",
            {},
            el("th", { scope: "row" }, score.task),
            el("td", {}, `${score.n} ${score.split}`),
            el("td", {}, score.metric),
            el("td", { class: "numeric" }, format.value(score.value, percent)),
            el("td", { class: "numeric" }, format.value(score.error, percent)),
          );
        }),
      ),
    );
  }

  function one(candidate: Candidate): HTMLElement {
    const facts: [string, string][] = [
      ["Recipe", candidate.recipe_digest],
      ["Weights", candidate.weights === "" ? "–" : candidate.weights],
      ["Kernel", candidate.path === "" ? "–" : candidate.path],
      ["Worker", candidate.worker === "" ? "–" : candidate.worker],
      ["Time", `${format.duration(candidate.wall_s)}, ${format.duration(candidate.cpu_s)} CPU`],
    ];
    if (candidate.failure !== null) {
      facts.unshift(["Failed", `${candidate.failure}: ${candidate.detail}`]);
    }
    const numbers = matrices(candidate.recipe, nameOf).map((matrix) =>
      el(
        "table",
        { class: "plain" },
        el("caption", {}, `${candidate.recipe.method}, ${matrix.parameter} by layers`),
        el("thead", {}, el("tr", {}, el("td"), ...matrix.columns.map((name) => el("th", { scope: "col", class: "numeric" }, name)))),
        el(
          "tbody",
          {},
          ...matrix.rows.map((row) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, row.source),
              ...row.values.map((x) => el("td", { class: "numeric" }, x === null ? "–" : format.value(x, false))),
            ),
          ),
        ),
      ),
    );
    return el(
      "div",
      { class: "one" },
      el("h3", {}, `Candidate ${candidate.candidate}${candidate.label === "" ? "" : `, ${candidate.label}`}`),
      el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Scores and recipe" }, scores(candidate), ...numbers),
      el("dl", { class: "facts" }, ...facts.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    );
  }

  function two(a: Candidate, b: Candidate): HTMLElement {
    const left = flatten(a.recipe, nameOf);
    const right = flatten(b.recipe, nameOf);
    const text = (x: number | string | null) => (x === null ? "–" : typeof x === "number" ? format.value(x, false) : x);
    const differences = diff(left, right);
    const change =
      a.value === null || b.value === null ? "" : `: ${format.value(a.value, share)} and ${format.value(b.value, share)}, ${format.difference(b.value - a.value, share)}`;
    return el(
      "div",
      { class: "two" },
      el("h3", {}, `Candidates ${a.candidate} and ${b.candidate}${change}`),
      differences.length === 0
        ? el("p", {}, "Their recipes are the same.")
        : el(
            "div",
            { class: "scroll", tabindex: "0", role: "group", "aria-label": "What differs" },
            el(
              "table",
              { class: "plain" },
              el("caption", {}, `${differences.length} of ${new Set([...left.keys(), ...right.keys()]).size} settings differ, the largest change first`),
              el("thead", {}, el("tr", {}, ...["Setting", `${a.candidate}`, `${b.candidate}`, "Change"].map((name, i) => el("th", { scope: "col", class: i > 0 ? "numeric" : "" }, name)))),
              el(
                "tbody",
                {},
                ...differences.map((d) =>
                  el(
                    "tr",
                    {},
                    el("th", { scope: "row" }, d.name),
                    el("td", { class: "numeric" }, text(d.a)),
                    el("td", { class: "numeric" }, text(d.b)),
                    el("td", { class: "numeric" }, typeof d.a === "number" && typeof d.b === "number" ? format.difference(d.b - d.a, false) : ""),
                  ),
                ),
              ),
            ),
          ),
    );
  }

  function update(summary: Summary): void {
    share = format.isShare(summary.tasks);
    void load();
  }
  return { root, update };
}
