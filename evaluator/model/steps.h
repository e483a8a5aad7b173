/*
 * steps.h - how tokenizer.json spells a list of steps: one component, or a Sequence of them, which
 * may hold further Sequences.
 *
 *   {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Sequence", ...}]}
 */
#ifndef MODEL_STEPS_H
#define MODEL_STEPS_H

#include "base/doc.h"
#include "base/err.h"

#define STEPS_MAX 256
#define STEPS_NESTING_MAX 8

/* Reads one step of a type that is not Sequence. */
typedef int steps_read_one(void *context, const json_t *step, const char *type, struct err *err);

/*
 * Call read_one for every step of a component, in order; for none when it is null (or NULL).
 * members: the key of a Sequence's list, "normalizers" and the like. ERR_FORMAT, ERR_LIMIT, or what
 * read_one gave.
 */
int steps_read(const json_t *component, const char *members, steps_read_one *read_one,
               void *context, struct err *err);

#endif
