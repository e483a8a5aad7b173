/*
 * logits.h - logits of a merge, by the two ways in which it can run.
 */
#ifndef TESTS_LOGITS_H
#define TESTS_LOGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "evaluator/merge/plan.h"

/* Logits [n, V] over tokens [n], the caller frees; digest receives that of the weights. Of a plan
 * run by an engine, and of a folder opened by itself. */
float *logits_of_plan(const struct plan *plan, bool streamed, const uint32_t *tokens, size_t n,
                      char digest[DIGEST_HEX]);
float *logits_of_folder(const char *folder, const uint32_t *tokens, size_t n,
                        char digest[DIGEST_HEX]);

#endif
