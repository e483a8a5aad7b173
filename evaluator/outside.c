/*
 * outside.c - a candidate is written, shown to programs, and removed.
 */
#include "evaluator/outside.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/export.h"

/* ---- where ---- */

/* On a disk, one would hope. */
static const char *scratch_of(const struct outside *outside)
{
    const char *tmpdir = getenv("TMPDIR");

    return tmpdir != NULL && *tmpdir != '\0' ? tmpdir
           : outside->scratch != NULL        ? outside->scratch
                                             : "/tmp";
}

/* A checkpoint is its tensors and little else. */
static uint64_t folder_bytes(uint64_t tensors)
{
    return tensors + tensors / 64 + ((uint64_t)64 << 20);
}

/* The program loads the candidate once more, and the system and other workers need memory too:
 * half of what is free is as much as we take. */
bool outside_in_memory(const struct outside *outside, uint64_t bytes)
{
    const char *where = folder_in_memory();

    return where != NULL && (outside->memory == 0 || bytes <= outside->memory) &&
           folder_bytes(bytes) <= folder_room(where) / 2;
}

void outside_sweep(const struct outside *outside)
{
    if (folder_in_memory() != NULL) {
        folder_sweep(folder_in_memory());
    }
    folder_sweep(scratch_of(outside));
}

/* ---- a candidate ---- */

static int write_to(struct outside *outside, const char *where, const struct plan *plan,
                    const char *expected, struct err *err)
{
    int rc = folder_open(&outside->folder, where, err);

    if (rc != 0) {
        return rc;
    }
    outside->model = file_join(outside->folder.path, "model");
    rc = export_write(plan, outside->model, NULL, 0, 0, expected, outside->weights, err);
    if (rc != 0) {
        outside_clear(outside);
    }
    return rc;
}

int outside_write(struct outside *outside, const struct plan *plan, const char *expected,
                  struct err *err)
{
    const char *scratch = scratch_of(outside);
    const uint64_t bytes = plan_bytes(plan);

    outside_clear(outside);
    if (outside_in_memory(outside, bytes)) {
        const int rc = write_to(outside, folder_in_memory(), plan, expected, err);

        if (rc != ERR_IO) {
            return rc; /* of all that can go wrong, only room is elsewhere */
        }
    }
    if (folder_bytes(bytes) > folder_room(scratch)) {
        return err_set(err, ERR_IO, "%s: no room for a candidate of %.1f MiB", scratch,
                       (double)bytes / 1048576.0);
    }
    return write_to(outside, scratch, plan, expected, err);
}

int outside_run(struct outside *outside, const struct program *program, struct program_call *call,
                struct score_task *out, enum score_failure *failure, struct err *err)
{
    char *out_dir = file_join(outside->folder.path, "out");

    *failure = SCORE_OK;
    int rc = file_remove_tree(out_dir, err); /* of the program before */
    if (rc == 0) {
        rc = file_make_dirs(out_dir, err);
    }
    if (rc == 0) {
        call->model_dir = outside->model;
        call->out_dir = out_dir;
        call->scratch = outside->folder.path;
        rc = program_run(program, call, out, failure, err);
    }
    free(out_dir);
    return rc;
}

void outside_clear(struct outside *outside)
{
    folder_close(&outside->folder);
    free(outside->model);
    outside->model = NULL;
    outside->weights[0] = '\0';
}
