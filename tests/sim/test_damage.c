/*
 * One bit of a finished study's file flips. Either somebody says so, or what is read is what was
 * written; and nothing falls over. SQLite's own integrity check sees few of these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/sim/world.h"
#include "tests/support/support.h"

#define FLIPS 400

/* All that a search found, as a digest. */
static int read_all(struct store *store, char out[DIGEST_HEX], struct err *err)
{
    struct digest *digest = digest_new();
    struct store_tally tally = {0};
    int rc = store_tally(store, &tally, err);

    for (uint64_t c = 1; c <= tally.candidates && rc == 0; c++) {
        struct store_candidate row = {0};
        struct score score = {0};
        uint64_t bits;

        rc = store_candidate(store, c, &row, err);
        if (rc == 0) {
            memcpy(&bits, &row.value, sizeof(bits));
            digest_add_u64(digest, bits);
            digest_add_text(digest, row.recipe);
            digest_add_text(digest, row.digest);
            rc = store_score(store, c, &score, err);
        }
        score_release(&score);
        store_candidate_release(&row);
    }
    digest_end_hex(digest, out);
    return rc;
}

/* 0: opened, and everything was read. */
static int open_and_read(const struct world *world, const char *path, char out[DIGEST_HEX],
                         struct err *err)
{
    struct store *store = NULL;
    struct coordinator *coordinator = NULL;
    int rc = store_open(&store, path, err);

    if (rc == 0) {
        rc = coordinator_open(&coordinator, store, &world->options, 0, err);
    }
    if (rc == 0) {
        rc = read_all(store, out, err);
    }
    coordinator_close(coordinator);
    store_close(store);
    return rc;
}

static void a_flipped_bit_is_found_or_does_no_harm(void **state)
{
    char *folder = support_temp_dir(), *path = file_join(folder, "night.db");
    char *wal = file_join(folder, "night.db-wal");
    struct file_bytes file = {0};
    struct world world;
    struct world_end end;
    struct store *store = NULL;
    struct rng64 rng;
    char expected[DIGEST_HEX], found[DIGEST_HEX];
    struct err err = {0};
    unsigned said = 0;

    (void)state;
    world_init(&world, 3, 4, 16);
    assert_int_equal(store_open(&store, path, &err), 0);
    world_undisturbed(&world, store, &end);
    store_close(store);
    assert_int_equal(file_read(&file, path, 1 << 24, &err), 0);
    assert_int_equal(open_and_read(&world, path, expected, &err), 0);
    rng64_seed(&rng, 1, 1);
    for (int i = 0; i < FLIPS; i++) {
        size_t at = (size_t)rng64_below(&rng, file.size);
        char mask = (char)(1 << rng64_below(&rng, 8));

        file.data[at] = (char)(file.data[at] ^ mask);
        unlink(wal); /* what the last one could not put back */
        support_write_bytes(folder, "night.db", file.data, file.size);
        file.data[at] = (char)(file.data[at] ^ mask);
        if (open_and_read(&world, path, found, &err) != 0) {
            assert_true(err.text[0] != '\0');
            said++;
        } else if (strcmp(found, expected) != 0) {
            fail_msg("byte %zu, mask %02x: other results, and nobody says so", at,
                     (unsigned char)mask);
        }
    }
    print_message("%u of %d flips were found, the others did no harm\n", said, FLIPS);
    file_release(&file);
    world_release(&world);
    free(wal);
    free(path);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_is_found_or_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
