/*
 * contents.h - SHA-256 of tensors' bytes, remembered by what decides them (plan_digest.h).
 *
 * A candidate's identity takes in the bytes of every tensor. One that an earlier candidate had too,
 * a copied layer, an embedding that no coordinate reaches, need be neither hashed again nor, when
 * nothing reads it, blended.
 */
#ifndef EVALUATOR_CONTENTS_H
#define EVALUATOR_CONTENTS_H

#include "base/digest.h"

struct contents;

struct contents *contents_new(void);
void contents_free(struct contents *contents); /* NULL is fine */

/* The hash under a key, or NULL; valid until the next contents_add or contents_trim. */
const unsigned char *contents_find(const struct contents *contents,
                                   const unsigned char key[DIGEST_SIZE]);

/* Keys are digests, and not there yet. */
void contents_add(struct contents *contents, const unsigned char key[DIGEST_SIZE],
                  const unsigned char content[DIGEST_SIZE]);

/* Between candidates: forget everything when it has become too much to keep. */
void contents_trim(struct contents *contents);

#endif
