/*
 * Large tokenizers are compiled once. Whether the kept image was used is seen by its file: using it
 * sets its time, making it anew gives it another inode.
 */
#include "evaluator/model/tokenizer_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/mem.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/tokenizer_image.h"
#include "tests/support/large_tokenizer.h"
#include "tests/support/support.h"

#define WORDS 12000

/* A folder with a model's large tokenizer, another for the cache. */
struct place {
    char *model, *home, *kept;
};

static int enter(void **state)
{
    static struct text json;
    struct place *place = mem_alloc(sizeof *place);

    if (json.size == 0) {
        large_tokenizer_print(&json, WORDS, 1);
    }
    place->model = support_temp_dir();
    place->home = support_temp_dir();
    place->kept = file_join(place->home, "braid/tokenizers");
    setenv("XDG_CACHE_HOME", place->home, 1);
    support_write_bytes(place->model, "tokenizer.json", text_get(&json), json.size);
    *state = place;
    return json.size >= TOKENIZER_CACHED_FROM ? 0 : -1;
}

static int leave(void **state)
{
    struct place *place = *state;

    support_remove_dir(place->model);
    support_remove_dir(place->home);
    free(place->kept);
    free(place);
    return 0;
}

/* The ids that the model's tokenizer gives to some text, as a digest. */
static void ids_of(const struct place *place, char out[DIGEST_HEX])
{
    struct tokenizer *tokenizer = NULL;
    struct text text = {0};
    struct tokens ids = {0};
    struct err err = {0};

    if (tokenizer_open(&tokenizer, place->model, &err) != 0) {
        fail_msg("%s", err.text);
    }
    large_tokenizer_text(&text, 5000, 3);
    assert_int_equal(
        tokenizer_encode(tokenizer, text_get(&text), text.size, TOKENIZER_PLAIN, &ids, NULL), 0);
    assert_in_range(ids.n, 500, 4999);
    digest_hex_of(ids.ids, ids.n * sizeof *ids.ids, out);
    tokens_release(&ids);
    text_release(&text);
    tokenizer_close(tokenizer);
}

/* The only file of the cache: a new string, or NULL; *n counts all. */
static char *kept_file(const struct place *place, size_t *n)
{
    DIR *list = opendir(place->kept);
    char *found = NULL;

    *n = 0;
    for (struct dirent *at; list != NULL && (at = readdir(list)) != NULL;) {
        if (at->d_name[0] != '.') {
            free(found);
            found = file_join(place->kept, at->d_name);
            ++*n;
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    return found;
}

static struct stat status_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status;
}

/* As if it had last been used in 1970. */
static void make_old(const char *path)
{
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};

    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void uses_what_it_kept(void **state)
{
    const struct place *place = *state;
    char first[DIGEST_HEX];
    char second[DIGEST_HEX];
    size_t n = 0;

    ids_of(place, first);
    char *path = kept_file(place, &n);
    assert_int_equal(n, 1);
    make_old(path);
    const struct stat before = status_of(path);

    ids_of(place, second);
    const struct stat after = status_of(path);

    assert_string_equal(first, second);
    assert_true(after.st_ino == before.st_ino && after.st_mtime > before.st_mtime);
    free(path);
}

static void makes_another_for_other_files(void **state)
{
    const struct place *place = *state;
    char ids[DIGEST_HEX];
    size_t n = 0;

    ids_of(place, ids);
    support_write(place->model, "tokenizer_config.json", "{\"eos_token\":\"<|end|>\"}");
    ids_of(place, ids);
    free(kept_file(place, &n));
    assert_int_equal(n, 2);
}

/* Damage the kept file, open the tokenizer: the same ids, and a sound file again. */
static void check_repair(const struct place *place, const char *path, const void *bytes, size_t n,
                         const char *ids)
{
    char again[DIGEST_HEX];
    struct file_map map = {0};

    support_write_bytes(place->kept, file_name(path), bytes, n);
    const struct stat damaged = status_of(path);

    ids_of(place, again);
    assert_string_equal(again, ids);
    assert_true(status_of(path).st_ino != damaged.st_ino);
    assert_true(tokenizer_cache_map(&map, file_name(path)));
    file_unmap(&map);
}

static void remakes_a_damaged_file(void **state)
{
    const struct place *place = *state;
    struct file_bytes sound = {0};
    char ids[DIGEST_HEX];
    size_t n = 0;

    ids_of(place, ids);
    char *path = kept_file(place, &n);
    assert_int_equal(file_read(&sound, path, (size_t)64 << 20, NULL), 0);
    for (size_t i = 0; i < 8; i++) { /* spread over header and sections */
        const size_t at = i == 0 ? 12 : i * (sound.size / 8);

        sound.data[at] ^= 0x10;
        check_repair(place, path, sound.data, sound.size, ids);
        sound.data[at] ^= 0x10;
    }
    check_repair(place, path, sound.data, sound.size / 2, ids);
    check_repair(place, path, "", 0, ids);
    check_repair(place, path, "no image at all", 15, ids);
    free(path);
    file_release(&sound);
}

static void does_not_trust_a_file_of_another_name(void **state)
{
    const struct place *place = *state;
    char ids[DIGEST_HEX];
    struct file_map map = {0};
    size_t n = 0;

    ids_of(place, ids);
    char *path = kept_file(place, &n);
    char *other = file_join(place->kept, "other");

    assert_int_equal(rename(path, other), 0);
    assert_false(tokenizer_cache_map(&map, "other"));
    free(other);
    free(path);
}

static void does_without_a_folder(void **state)
{
    const struct place *place = *state;
    char wanted[DIGEST_HEX];
    char ids[DIGEST_HEX];
    char *blocked = file_join(place->model, "tokenizer.json/cache");

    ids_of(place, wanted);
    setenv("XDG_CACHE_HOME", blocked, 1);
    ids_of(place, ids);
    assert_string_equal(ids, wanted);
    setenv("XDG_CACHE_HOME", "relative", 1);
    unsetenv("HOME");
    ids_of(place, ids);
    assert_string_equal(ids, wanted);
    free(blocked);
}

static void falls_back_to_the_home_folder(void **state)
{
    struct place *place = *state;
    char ids[DIGEST_HEX];
    size_t n = 0;

    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", place->home, 1);
    free(place->kept);
    place->kept = file_join(place->home, ".cache/braid/tokenizers");
    ids_of(place, ids);
    free(kept_file(place, &n));
    assert_int_equal(n, 1);
}

static void keeps_no_small_ones(void **state)
{
    const struct place *place = *state;
    struct tokenizer *tokenizer = NULL;
    size_t n = 0;

    assert_int_equal(tokenizer_open(&tokenizer, TESTS_DIR "/../study/examples/models/base", NULL),
                     0);
    tokenizer_close(tokenizer);
    assert_null(kept_file(place, &n));
}

static void drops_those_that_were_not_used_for_longest(void **state)
{
    const struct place *place = *state;
    struct file_map map = {0};
    struct text image = {0};
    const struct image empty = {.parts = "{}", .n_parts = 2};
    char name[16];
    size_t n = 0;

    image_write(&image, &empty);
    for (int i = 0; i < TOKENIZER_CACHE_KEPT + 4; i++) {
        snprintf(name, sizeof name, "image-%d", i);
        tokenizer_cache_keep(name, image.data, image.size);
        assert_true(tokenizer_cache_map(&map, "image-0")); /* used again and again */
        file_unmap(&map);
    }
    free(kept_file(place, &n));
    assert_int_equal(n, TOKENIZER_CACHE_KEPT);
    assert_true(tokenizer_cache_map(&map, "image-0"));
    file_unmap(&map);
    assert_false(tokenizer_cache_map(&map, "image-1"));
    text_release(&image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(uses_what_it_kept),      TEST(makes_another_for_other_files),
        TEST(remakes_a_damaged_file), TEST(does_not_trust_a_file_of_another_name),
        TEST(does_without_a_folder),  TEST(falls_back_to_the_home_folder),
        TEST(keeps_no_small_ones),    TEST(drops_those_that_were_not_used_for_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
