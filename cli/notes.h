/*
 * notes.h - what the database keeps for later commands on this machine: where the models are, the
 * ids of each split's documents, and which tasks look like published benchmarks. They take no part
 * in the search, and only the last leave in an export.
 */
#ifndef CLI_NOTES_H
#define CLI_NOTES_H

#include <stdbool.h>

#include "base/doc.h"
#include "base/err.h"
#include "cli/prepare.h"
#include "store/store.h"

/* At the start of a search; later starts write the same, or where the models are now. */
int notes_write(struct store *store, const struct prepared *prepared, struct err *err);

/* A search keeps the arithmetic that it began with, wherever it goes on: remember it, or have
 * prepared use what is remembered. begun: scores are stored already; in f32 when nothing is said.
 */
int notes_numeric(struct store *store, struct prepared *prepared, bool begun, struct err *err);

/* {"models": {digest: {"name", "path"}}, "documents": {task: {split: [ids]}}, "benchmarks": {task:
 * name}}, a new reference; databases of earlier versions have no benchmarks. */
int notes_read(struct store *store, json_t **out, struct err *err);

#endif
