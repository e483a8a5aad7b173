/*
 * trajectory.c - one number for all that a search decided so far.
 *
 *   hash(-1) = SHA-256( "trajectory 1", identity of the study )
 *   hash(g)  = SHA-256( hash(g-1), g, for each candidate in order: digest of its recipe, then
 *                         bits of each task's searched value, digest of the weights
 *                         or the kind of its failure;
 *                       then the digest of the optimiser's bytes )
 *
 * No times, workers, attempts or order of arrival enter it: two runs of one study with equal
 * results have equal hashes whatever happened in between.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"

void trajectory_begin(const char *identity, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, "trajectory 1");
    digest_add_text(digest, identity);
    digest_end_hex(digest, out);
}

static void add_double(struct digest *digest, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    digest_add_u64(digest, bits);
}

/* values [n_tasks] is scratch. */
static int add_candidate(struct coordinator *coordinator, struct digest *digest,
                         const struct store_candidate *candidate, double *values, struct err *err)
{
    digest_add_text(digest, candidate->recipe_digest);
    if (candidate->status == STORE_FAILED) {
        digest_add_text(digest, score_failure_name(candidate->failure));
        return 0;
    }
    int rc =
        store_values(coordinator->store, candidate->candidate, coordinator->n_tasks, values, err);
    for (size_t t = 0; rc == 0 && t < coordinator->n_tasks; t++) {
        add_double(digest, values[t]);
    }
    digest_add_text(digest, candidate->weights);
    return rc;
}

int trajectory_extend(struct coordinator *coordinator, const unsigned char *optimiser, size_t n,
                      char out[DIGEST_HEX], struct err *err)
{
    const struct generation *open = &coordinator->open;
    struct digest *digest = digest_new();
    double *values = mem_array(coordinator->n_tasks, sizeof(*values));
    char optimiser_digest[DIGEST_HEX];
    int rc = 0;

    digest_add_text(digest, coordinator->study.trajectory);
    digest_add_u64(digest, open->row.number);
    for (size_t i = 0; i < open->n && rc == 0; i++) {
        rc = add_candidate(coordinator, digest, &open->places[i].row, values, err);
    }
    digest_hex_of(optimiser, n, optimiser_digest);
    digest_add_text(digest, optimiser_digest);
    char hash[DIGEST_HEX];
    digest_end_hex(digest, hash); /* also frees it */
    if (rc == 0) {
        memcpy(out, hash, DIGEST_HEX);
    }
    free(values);
    return rc;
}
