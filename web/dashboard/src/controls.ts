// Pause, resume, finish: only with the study's token.

import { get, post, Refused, setToken, token } from "./api.ts";
import type { Summary } from "./api.ts";
import { $, button, el, fill, say } from "./dom.ts";

export function toast(text: string): void {
  const place = $("toast");
  say(place, text);
  place.dataset["shown"] = "yes";
  setTimeout(() => {
    place.dataset["shown"] = "no";
  }, 5000);
}

// Ask for the token, as the terminal printed it.
export function askForToken(): void {
  const dialog = $("token-dialog") as HTMLDialogElement;
  const field = el("input", { type: "password", id: "token-field", autocomplete: "off", spellcheck: "false", "aria-describedby": "token-help" });
  const problem = el("p", { class: "bad", role: "alert" });
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id: "token-title" }, "Control this study"),
    el("p", { id: "token-help" }, "Paste the token from the file beside the database (its name ends in .token). It stays in this tab."),
    el("label", { for: "token-field" }, "Token"),
    field,
    problem,
    el("div", { class: "row" }, button("Cancel", "quiet", () => dialog.close()), el("button", { type: "submit", class: "primary" }, "Use it")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!/^[0-9a-f]{64}$/.test(text)) {
      say(problem, "A token is 64 characters, 0–9 and a–f.");
      return;
    }
    setToken(text);
    dialog.close();
    location.reload();
  });
  fill(dialog, form);
  dialog.showModal();
  field.focus();
}

export function controlsView(): { update: (summary: Summary) => void } {
  const place = $("controls");
  let shownFor = "";

  async function order(path: string, done: string): Promise<void> {
    try {
      await post<unknown>(path);
      toast(done);
      await get<Summary>("/api/summary").then(update);
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        setToken(null);
        shownFor = "";
        toast("The token is not the one of this study.");
      } else {
        toast(error instanceof Error ? error.message : "That did not work.");
      }
    }
  }

  function update(summary: Summary): void {
    const over = summary.state === "finished" || summary.state === "failed" || summary.state === "stopped";
    const key = `${summary.state} ${summary.stage} ${token() !== null}`;
    if (key === shownFor) {
      return;
    }
    shownFor = key;
    if (over) {
      fill(place);
    } else if (token() === null) {
      fill(place, button("Control", "quiet", askForToken));
    } else {
      fill(
        place,
        summary.state === "paused"
          ? button("Resume", "primary", () => void order("/v1/resume", "Going on."))
          : button("Pause", "quiet", () => void order("/v1/pause", "Paused: candidates in work are finished, none is handed out.")),
        summary.stage === "search"
          ? button("Finish", "quiet", () => {
              if (confirm("End the search after this generation and choose the winner?")) {
                void order("/v1/finish", "The search ends after this generation.");
              }
            })
          : null,
      );
    }
  }
  return { update };
}
