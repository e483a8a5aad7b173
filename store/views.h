/*
 * views.h - what the store knows, as JSON for the page, `braid status` and exports.
 *
 * Read-only; a reader connection will do, while another process writes. Each function gives a new
 * reference, made from one consistent snapshot (one read transaction). Values that are not known
 * are null; values of the objective are as people read them: higher is better. Keys do not change
 * within a major version.
 */
#ifndef STORE_VIEWS_H
#define STORE_VIEWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/*
 * How the study stands:
 *
 *   {"study", "state", "stage", "reason", "trajectory", "generation", "evaluations",
 * "evaluations_max", "done", "failed", "leased", "objective", "tasks": [{"name", "metric",
 * "weight", "higher_is_better"}], "best": {"candidate", "generation", "label", "recipe", "value"} |
 * null,       by search score "winner": the same | null, once it is chosen "baselines":
 * [{"candidate", "label", "parent", "recipe", "value", "failure", "tasks"}], "comparison":
 * {"against", "split", "n", "difference", "low", "high"} | null,   best minus best parent, paired,
 * 95 % "report": [{"candidate", "label", "role", "n", "value", "difference", "low", "high"}],
 * winner minus row "verdict": [sentences], "cost": {"wall_s", "cpu_s", "elapsed_s"}, "eta_s",
 * "workers":
 * {"known", "active"}, "phases": [{"phase", "name", "optimiser", "why", "generation",
 * "evaluations", "spent", "ending", "coordinates"}], "effects": [{"name", "effect"}] of a
 * sensitivity pass, the largest dozen, "last_event"}
 *
 * and of several objectives "objectives": [task], "front": [{"candidate", "generation", "value",
 * "tasks": {task: value}}] best in the first one first, and in rows of the report "objectives":
 * [{"task", "value", "difference", "low", "high"}], against the best parent in it.
 */
int store_view_summary(struct store *store, json_t **out, struct err *err);

/* {"generations": [{"generation", "evaluations", "best", "mean", "best_so_far", "sigma", "phase"}],
 * "values": [of each search candidate], "objectives": [[of each of several, or null]]} */
int store_view_history(struct store *store, json_t **out, struct err *err);

enum store_sort { STORE_SORT_NUMBER, STORE_SORT_VALUE, STORE_SORT_GENERATION, STORE_SORT_WALL };

#define STORE_PAGE_MAX 500

struct store_filter {
    const char *stage;  /* "baseline", "search", "select", "report"; NULL: all */
    const char *status; /* "pending", "leased", "done", "failed", "held"; NULL: all */
    enum store_sort sort;
    bool descending;
    uint64_t offset, limit;
};

/* {"total", "rows": [{"candidate", "stage", "generation", "label", "status", "value", "tasks",
 * "wall_s", "failure"}]} */
int store_view_candidates(struct store *store, const struct store_filter *filter, json_t **out,
                          struct err *err);

/* A row as above and {"recipe", "recipe_digest", "weights", "path", "cpu_s", "worker", "detail",
 * "scores": [{"task", "split", "metric", "value", "error", "n"}]}. ERR_MISSING. */
int store_view_candidate(struct store *store, uint64_t candidate, json_t **out, struct err *err);

/* {"workers": [{"worker", "name", "state", "build", "path", "done", "failed", "lost", "invalid",
 * "silent_s", "candidate"}]}; a state is working, idle, silent (for two minutes) or gone. */
int store_view_workers(struct store *store, json_t **out, struct err *err);

/* {"events": [{"event", "at", "kind", "text"}]}: at most limit after `after`, oldest first; the
 * latest when after is 0. */
int store_view_events(struct store *store, uint64_t after, uint64_t limit, json_t **out,
                      struct err *err);

/* The number of the last event, 0 when there is none. */
int store_view_last_event(struct store *store, uint64_t *out, struct err *err);

/* A number that differs when another connection has written since: cheap, to see whether to look.
 */
int store_view_version(struct store *store, uint64_t *out, struct err *err);

/* {"study": its canonical form, "models": [{"name", "digest"}]} */
int store_view_study(struct store *store, json_t **out, struct err *err);

/* {"report": rows as in the summary, "verdict": [sentences]} */
int store_view_report(struct store *store, json_t **out, struct err *err);

#endif
