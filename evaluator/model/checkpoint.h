/*
 * checkpoint.h - a model folder, opened: its config and all its tensors, mapped and checked.
 *
 *   struct checkpoint *model = NULL;
 *   if (checkpoint_open(&model, "models/base", err) == 0) {
 *       const struct checkpoint_tensor *q = checkpoint_role(model, TENSOR_Q, 3);
 *       dtype_to_f32(buffer, q->data, q->dtype, q->n_elements);
 *   }
 *   checkpoint_close(model);
 *
 * Opening reads headers only; pages of weights are read when touched. Files are mapped read-only
 * for as long as the checkpoint is open. A file that shrinks under a map would raise SIGBUS:
 * long-lived readers ask checkpoint_unchanged before each pass and refuse a source that is no
 * longer what it was.
 */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/model/config.h"
#include "evaluator/model/dtype.h"
#include "evaluator/model/tensors.h"

/* What a folder with this file holds runs in another order than its layers are in: a route, folded.
 */
#define CHECKPOINT_FOLDED "route.json"

struct checkpoint_tensor {
    const char *name;
    enum dtype dtype;
    size_t n_dims;
    size_t dims[TENSORS_DIMS_MAX]; /* row-major, last index fastest */
    size_t n_elements;
    size_t n_bytes;
    const unsigned char *data; /* in the map; any alignment */
    const char *folder;        /* of the checkpoint, as given */
    const char *file;          /* bare name of the file it is in */
    enum tensor_role role;     /* TENSOR_UNKNOWN when the family is */
    enum tensor_part part;
    uint32_t depth; /* layer; 0 for the embedding, last layer for final norm and head */
};

struct checkpoint;

/*
 * Open a Hugging Face folder, or a folder with a LoRA adapter folded into it: "base+adapter"
 * (base/layered.h, adapter.h); then everything below shows the sum, as if it had been saved. When
 * the family is known, its tensors must be exactly those of the table, in shape too: missing, extra
 * and misshapen ones are named. Tensors nobody reads (tensors_ignored) are left out. A folded
 * route is refused. Errors: ERR_MISSING, ERR_FORMAT, ERR_LIMIT, ERR_IO.
 */
int checkpoint_open(struct checkpoint **out, const char *name, struct err *err);
void checkpoint_close(struct checkpoint *checkpoint); /* NULL is fine */

/* Lent, valid while the checkpoint is open. The name is as given to checkpoint_open; the folder,
 * where config.json and tokenizer lie, is the same without the adapter. */
const struct config *checkpoint_config(const struct checkpoint *checkpoint);
const char *checkpoint_name(const struct checkpoint *checkpoint);
const char *checkpoint_folder(const struct checkpoint *checkpoint);

/* Tensors, sorted by name in byte order. */
size_t checkpoint_count(const struct checkpoint *checkpoint);
const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *checkpoint, size_t i);

/* By name, or by what it does; NULL when there is none (a bias the model does not have, the head of
 * a tied model). */
const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *checkpoint,
                                                const char *name);
const struct checkpoint_tensor *checkpoint_role(const struct checkpoint *checkpoint,
                                                enum tensor_role role, uint32_t layer);

/* The type that its numbers are stored in. Of several it is the one that config.json names, else
 * float32, and *mixed is true. */
enum dtype checkpoint_dtype(const struct checkpoint *checkpoint, bool *mixed);

/*
 * Digests, 64 hex digits. The weights' digest covers, in byte order of names, each tensor's name,
 * type, shape and the SHA-256 of its bytes: it does not change with sharding or order in the file.
 * The checkpoint's digest, which names a source in a recipe, covers that, config.json and
 * tokenizer.json. Both read every byte, by one process a core, and leave no more in memory than was
 * there before (ERR_IO when one is killed, ERR_STOPPED). ERR_CONFLICT when a file changed since it
 * was opened.
 */
int checkpoint_weights_digest(struct checkpoint *checkpoint, char out[DIGEST_HEX], struct err *err);
int checkpoint_digest(struct checkpoint *checkpoint, char out[DIGEST_HEX], struct err *err);

/* What the weights' digest takes in of one tensor whose bytes hash to content; blending uses the
 * same, so that what is measured and what is exported have one identity. */
void checkpoint_digest_tensor(struct digest *digest, const char *name, enum dtype dtype,
                              const size_t *dims, size_t n_dims,
                              const unsigned char content[DIGEST_SIZE]);

/* 0 when every mapped file still has the size, time and inode it had; ERR_CONFLICT names the one
 * that changed. */
int checkpoint_unchanged(const struct checkpoint *checkpoint, struct err *err);

/* "[48, 32]", for messages. */
void checkpoint_shape_words(char *out, size_t size, const size_t *dims, size_t n);

/*
 * 0 when both have the same tensors by name and shape; else ERR_CONFLICT names the first difference
 * and both folders. Types may differ, and so may a head that one side ties to its embedding.
 */
int checkpoint_compare(const struct checkpoint *a, const struct checkpoint *b, struct err *err);

#endif
