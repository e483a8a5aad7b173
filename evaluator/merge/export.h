/*
 * export.h - a plan written as a Hugging Face folder: the same pass that measured it, on disk.
 *
 *   config.json             the donor's, edited; unknown members and their order stay
 *   model.safetensors       or shards and an index
 *   tokenizer files, generation_config.json     the donor's, byte for byte
 *   and the texts given: README.md, search.json, mergekit_config.yml
 *
 * All is written into a temporary folder beside the target, synced, and renamed at the end; an
 * existing target is never touched. A failure leaves nothing behind, nor does a signal that the
 * caller catches (base/stop.h). Weights are made by one process a core (carry.h).
 */
#ifndef MERGE_EXPORT_H
#define MERGE_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"

/* A text to lay beside the weights. */
struct export_text {
    const char *name; /* bare */
    const char *bytes;
    size_t size;
};

/*
 * expected: the digest the weights must have ("" or NULL: any); ERR_CONFLICT when they differ,
 * ERR_CONFLICT when the folder exists. weights receives the digest; NULL: not wanted, unless
 * expected is. shard_bytes 0: the usual 5 GB.
 */
int export_write(const struct plan *plan, const char *folder, const struct export_text *texts,
                 size_t n_texts, uint64_t shard_bytes, const char *expected,
                 char weights[DIGEST_HEX], struct err *err);

#endif
