// The page: fetch once, then follow the stream. Everything shown comes from the store, so a finished study, or a
// copy of its database, looks the same as a running one.

import { adoptToken, get, Refused } from "./api.ts";
import type { Candidate, History, LogEvent, StudyFacts, Summary, Worker } from "./api.ts";
import { candidatesView } from "./candidates.ts";
import { askForToken, controlsView } from "./controls.ts";
import { $, el, say } from "./dom.ts";
import { stateWord } from "./format.ts";
import { frontView } from "./front.ts";
import { heatmapView } from "./heatmap.ts";
import { historyView } from "./history.ts";
import { listen } from "./live.ts";
import { logView } from "./log.ts";
import { standingView } from "./standing.ts";
import { summaryView } from "./summary.ts";
import { workersView } from "./workers.ts";

const REFRESH_MS = 1500; // of what is fetched when the summary says that something changed

function page(): void {
  const modelNames = new Map<string, string>();
  const nameOf = (digest: string) => modelNames.get(digest) ?? digest.slice(0, 8);
  const views = {
    summary: summaryView(),
    standing: standingView(),
    history: historyView(),
    front: frontView(),
    heatmap: heatmapView(),
    candidates: candidatesView(nameOf),
    workers: workersView(),
    log: logView(),
    controls: controlsView(),
  };
  $("main").append(
    el("div", { class: "grid" }, views.summary.root, views.standing.root, views.history.root, views.heatmap.root, views.front.root, views.candidates.root, views.workers.root, views.log.root),
  );

  let shown: Summary | null = null;
  let heatFor = -1;
  let due: ReturnType<typeof setTimeout> | null = null;

  function showSummary(summary: Summary): void {
    document.title = `${summary.study} · braid`;
    say($("study"), summary.study);
    say($("state"), stateWord(summary));
    $("state").dataset["state"] = summary.state;
    views.summary.update(summary);
    views.standing.update(summary);
    views.controls.update(summary);
    const changed =
      shown === null || shown.done !== summary.done || shown.leased !== summary.leased || shown.state !== summary.state || shown.stage !== summary.stage;
    shown = summary;
    if (changed) {
      refreshSoon();
    }
  }

  // The bigger pieces follow at a calmer pace.
  function refreshSoon(): void {
    due ??= setTimeout(() => {
      due = null;
      void refresh().catch(trouble);
    }, shown === null || heatFor < 0 ? 0 : REFRESH_MS);
  }

  async function refresh(): Promise<void> {
    if (shown === null) {
      return;
    }
    const [history, workers] = await Promise.all([get<History>("/api/history"), get<{ workers: Worker[] }>("/api/workers")]);
    views.history.update(history, shown);
    views.front.update(shown, history);
    views.workers.update(workers.workers);
    views.candidates.update(shown);
    const best = (shown.winner ?? shown.best)?.candidate ?? -1;
    if (best !== heatFor) {
      views.heatmap.update(best < 0 ? null : await get<Candidate>(`/api/candidate/${best}`), nameOf);
      heatFor = best;
    }
  }

  function trouble(error: unknown): void {
    if (error instanceof Refused && error.status === 401) {
      askForToken();
    } else {
      say($("connection"), "no answer");
      $("connection").dataset["state"] = "lost";
    }
  }

  async function start(): Promise<void> {
    const facts = await get<StudyFacts>("/api/study");
    for (const model of facts.models) {
      modelNames.set(model.digest, model.name);
    }
    views.heatmap.update(null, nameOf);
    showSummary(await get<Summary>("/api/summary"));
    views.log.add((await get<{ events: LogEvent[] }>("/api/events?limit=100")).events);
    listen(
      (message) => {
        if (message.event === "summary") {
          showSummary(JSON.parse(message.data) as Summary);
        } else if (message.event === "log") {
          views.log.add(JSON.parse(message.data) as LogEvent[]);
        }
      },
      (connection) => {
        say($("connection"), connection === "live" ? "live" : "reconnecting");
        $("connection").dataset["state"] = connection;
      },
    );
  }
  void start().catch(trouble);
}

adoptToken();
page();
