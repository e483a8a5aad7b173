/* The file: who may open it, what a transaction keeps, how damage is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/store_internal.h"
#include "tests/store/rows.h"
#include "tests/support/support.h"

struct house {
    char *folder, *path;
    struct err err;
};

static int set_up(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));

    house->folder = support_temp_dir();
    house->path = file_join(house->folder, "night.db");
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;

    free(house->path);
    support_remove_dir(house->folder);
    free(house);
    return 0;
}

static struct store *open_store(struct house *house)
{
    struct store *store = NULL;

    rows_must(store_open(&store, house->path, &house->err), &house->err);
    return store;
}

static void begin(struct store *store)
{
    struct err err = {0};

    rows_must(store_begin(store, STORE_DURABLE, &err), &err);
}

static void commit(struct store *store)
{
    struct err err = {0};

    rows_must(store_commit(store, &err), &err);
}

/* A file with a study, two events and a result. */
static void fill(struct house *house)
{
    struct store *store = open_store(house);
    const struct store_event event = {.kind = "open"};

    begin(store);
    rows_add_study(store);
    rows_must(store_add_event(store, &event, &house->err, "begun"), &house->err);
    rows_add_generation(store, 0, "baseline");
    rows_add_candidate(store, 1, 0, 0, 'a');
    rows_add_result(store, 1, 0.5);
    commit(store);
    store_close(store);
}

/* Change the file behind the store's back. */
static void meddle(struct house *house, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;

    assert_int_equal(sqlite3_open(house->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    sqlite3_close(db);
}

static void assert_refused(struct house *house, int code, const char *why)
{
    struct store *store = NULL;

    assert_int_equal(store_open(&store, house->path, &house->err), code);
    assert_null(store);
    if (strstr(house->err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", house->err.text, why);
    }
}

/* ---- opening ---- */

static void a_new_file_is_ours_alone(void **state)
{
    struct house *house = *state;
    struct stat what;

    store_close(open_store(house));
    assert_int_equal(stat(house->path, &what), 0);
    assert_int_equal(what.st_mode & 0777, 0600);
}

static void what_was_written_is_there_when_it_is_opened_again(void **state)
{
    struct house *house = *state;
    struct store_study study = {0};

    fill(house);
    struct store *store = open_store(house);
    rows_must(store_study(store, &study, &house->err), &house->err);
    assert_string_equal(study.name, "night");
    assert_string_equal(study.form, "{\"seed\":7}");
    assert_int_equal(study.evaluations_max, 40);
    assert_int_equal(study.winner, 0);
    assert_int_equal(strlen(store_id(store)), 32);
    store_study_release(&study);
    store_close(store);
}

static void a_second_writer_is_told_who_is_the_first(void **state)
{
    struct house *house = *state;
    struct store *store = open_store(house);
    char who[64];

    snprintf(who, sizeof(who), "night.db: process %ld uses it", (long)getpid());
    assert_refused(house, ERR_CONFLICT, who);
    store_close(store);
    store_close(open_store(house)); /* the lock went with its holder */
}

static void a_newer_schema_is_refused_with_both_numbers(void **state)
{
    struct house *house = *state;

    fill(house);
    meddle(house, "PRAGMA user_version=99");
    assert_refused(house, ERR_CONFLICT, "schema version 99 is newer than 3");
}

/* What version 1 had not, taken away again. */
static void make_older(struct house *house)
{
    fill(house);
    meddle(house, "DROP TABLE standings; DROP TABLE front; DROP TABLE objectives;"
                  "DROP TABLE phases; ALTER TABLE generations DROP COLUMN phase;"
                  "DROP TABLE coordinates; CREATE TABLE coordinates (number INTEGER PRIMARY KEY,"
                  " name TEXT NOT NULL, lower REAL NOT NULL, upper REAL NOT NULL) STRICT;"
                  "INSERT INTO coordinates VALUES (0, 'weight adder', 0, 1.5);"
                  "PRAGMA user_version=1");
}

static void an_older_schema_is_brought_up_to_date(void **state)
{
    struct house *house = *state;
    struct store_phase phase = {0};
    uint64_t n = 0;

    make_older(house);
    struct store *store = open_store(house);
    assert_int_equal(store_phase(store, 0, &phase, &house->err), 0);
    assert_int_equal(phase.evaluations, 40);
    store_phase_release(&phase);
    assert_int_equal(store_number(store, &n, &house->err,
                                  "SELECT count(*) FROM coordinates WHERE phase = 0", ""),
                     0);
    assert_int_equal(n, 1);
    store_close(store);
}

static void a_reader_of_an_older_schema_has_it_brought_up_to_date(void **state)
{
    struct house *house = *state;
    struct store *reader = NULL;
    struct store_phase phase = {0};

    make_older(house);
    assert_int_equal(store_open_reader(&reader, house->path, &house->err), 0);
    assert_int_equal(store_phase(reader, 0, &phase, &house->err), 0);
    store_phase_release(&phase);
    store_close(reader);
}

static void another_program_s_database_is_left_alone(void **state)
{
    struct house *house = *state;

    meddle(house, "CREATE TABLE notes (text TEXT)");
    assert_refused(house, ERR_FORMAT, "another program");
}

static void a_file_that_is_no_database_is_left_alone(void **state)
{
    struct house *house = *state;
    struct file_bytes bytes = {0};

    support_write(house->folder, "night.db",
                  "Dear diary, this is no database at all, just a text.");
    assert_refused(house, ERR_FORMAT, "night.db");
    assert_int_equal(file_read(&bytes, house->path, 1000, NULL), 0);
    assert_memory_equal(bytes.data, "Dear diary", 10);
    file_release(&bytes);
}

static void a_missing_folder_is_named(void **state)
{
    struct house *house = *state;

    free(house->path);
    house->path = file_join(house->folder, "nowhere/night.db");
    assert_refused(house, ERR_MISSING, "nowhere");
}

static void a_file_without_a_study_says_so(void **state)
{
    struct house *house = *state;
    struct store *store = open_store(house);
    struct store_study study = {0};

    assert_int_equal(store_study(store, &study, &house->err), ERR_MISSING);
    assert_string_equal(store_id(store), "");
    store_close(store);
}

/* ---- readers ---- */

static void a_reader_needs_a_file(void **state)
{
    struct house *house = *state;
    struct store *reader = NULL;

    assert_int_equal(store_open_reader(&reader, house->path, &house->err), ERR_MISSING);
    assert_false(file_exists(house->path));
}

static void a_reader_sees_what_is_committed_and_nothing_else(void **state)
{
    struct house *house = *state;
    struct store *reader = NULL;
    uint64_t n = 0;

    fill(house);
    struct store *store = open_store(house);
    rows_must(store_open_reader(&reader, house->path, &house->err), &house->err);
    begin(store);
    rows_add_generation(store, 1, "search");
    rows_must(store_count_generations(reader, &n, &house->err), &house->err);
    assert_int_equal(n, 1);
    commit(store);
    rows_must(store_count_generations(reader, &n, &house->err), &house->err);
    assert_int_equal(n, 2);
    store_close(reader);
    store_close(store);
}

static void a_reader_cannot_write(void **state)
{
    struct house *house = *state;
    struct store *reader = NULL;

    fill(house);
    rows_must(store_open_reader(&reader, house->path, &house->err), &house->err);
    assert_int_not_equal(store_begin(reader, STORE_DURABLE, &house->err), 0);
    store_close(reader);
}

static void a_copy_made_in_use_opens_like_the_original(void **state)
{
    struct house *house = *state;
    char *copy = file_join(house->folder, "copy.db");
    struct store *other = NULL;

    fill(house);
    struct store *store = open_store(house);
    rows_must(store_backup(store, copy, &house->err), &house->err);
    assert_int_equal(store_backup(store, copy, &house->err), ERR_CONFLICT);
    rows_must(store_open(&other, copy, &house->err), &house->err);
    assert_string_equal(store_id(other), store_id(store));
    store_close(other);
    store_close(store);
    free(copy);
}

/* ---- transactions ---- */

static int strike(void *context, enum store_edge edge)
{
    return edge == *(const enum store_edge *)context;
}

static uint64_t count_generations(struct store *store)
{
    uint64_t n = 0;
    struct err err = {0};

    rows_must(store_count_generations(store, &n, &err), &err);
    return n;
}

static void what_is_rolled_back_was_never_there(void **state)
{
    struct house *house = *state;
    const struct store_event event = {.kind = "ask"};

    fill(house);
    struct store *store = open_store(house);
    begin(store);
    rows_add_generation(store, 1, "search");
    rows_must(store_add_event(store, &event, &house->err, "gone"), &house->err);
    store_rollback(store);
    store_rollback(store); /* harmless */
    assert_int_equal(count_generations(store), 1);
    begin(store);
    rows_must(store_add_event(store, &event, &house->err, "kept"), &house->err);
    commit(store);
    rows_must(store_check(store, &house->err), &house->err);
    store_close(store);
}

static void dying_before_a_commit_stores_nothing(void **state)
{
    struct house *house = *state;
    enum store_edge edge = STORE_BEFORE_COMMIT;

    fill(house);
    struct store *store = open_store(house);
    store_set_hook(store, strike, &edge);
    begin(store);
    rows_add_generation(store, 1, "search");
    assert_int_equal(store_commit(store, &house->err), ERR_IO);
    assert_int_equal(count_generations(store), 1);
    store_close(store);
}

static void dying_after_a_commit_stores_everything(void **state)
{
    struct house *house = *state;
    enum store_edge edge = STORE_AFTER_COMMIT;

    fill(house);
    struct store *store = open_store(house);
    store_set_hook(store, strike, &edge);
    begin(store);
    rows_add_generation(store, 1, "search");
    assert_int_equal(store_commit(store, &house->err), ERR_IO);
    assert_int_equal(count_generations(store), 2);
    store_close(store);
}

/* A disk is full at a page's distance: SQLite's own limit stands for it. */
static void a_full_disk_is_a_limit_and_leaves_the_old_state(void **state)
{
    struct house *house = *state;
    int rc = 0;

    fill(house);
    struct store *store = open_store(house);
    assert_int_equal(sqlite3_exec(store->db, "PRAGMA max_page_count=1", NULL, NULL, NULL),
                     SQLITE_OK); /* as many as there are */
    begin(store);
    for (int i = 0; i < 10000 && rc == 0; i++) {
        const struct store_event event = {.kind = "note"};

        rc = store_add_event(store, &event, &house->err, "line %d", i);
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_string_equal(house->err.text, "database: the disk is full");
    store_rollback(store);
    sqlite3_exec(store->db, "PRAGMA max_page_count=100000", NULL, NULL, NULL);
    begin(store);
    rows_add_generation(store, 1, "search");
    commit(store);
    store_close(store);
    store_close(open_store(house));
}

/* ---- damage ---- */

static void a_changed_event_is_found(void **state)
{
    struct house *house = *state;

    fill(house);
    meddle(house, "UPDATE events SET text = 'begun!' WHERE event = 1");
    assert_refused(house, ERR_CONFLICT, "event 1 does not follow");
}

static void a_missing_event_is_found(void **state)
{
    struct house *house = *state;

    fill(house);
    meddle(house, "DELETE FROM events WHERE event = 1");
    assert_refused(house, ERR_CONFLICT, "event 1 does not follow");
}

static void a_changed_result_is_found(void **state)
{
    struct house *house = *state;

    fill(house);
    meddle(house, "UPDATE evaluations SET digest = replace(digest, substr(digest, 1, 1), 'x')");
    assert_refused(house, ERR_CONFLICT, "what event 2 is about");
}

static void a_changed_study_model_or_task_is_a_conflict(void **state)
{
    struct house *house = *state;
    struct store_study study = rows_study();
    const struct store_model same = {"adder", "elsewhere", study.identity};
    const struct store_model other = {"adder", "models/adder", study.trajectory};
    const struct store_task task = {"count", study.identity, "acc_norm", true, 1.0, {0}};

    fill(house);
    struct store *store = open_store(house);
    assert_int_equal(store_check_model(store, 0, &same, &house->err), 0);
    assert_int_equal(store_check_model(store, 0, &other, &house->err), ERR_CONFLICT);
    assert_non_null(strstr(house->err.text, "model adder"));
    assert_int_equal(store_check_task(store, 0, &task, &house->err), ERR_CONFLICT);
    assert_non_null(strstr(house->err.text, "task count"));
    store_study_release(&study);
    store_close(store);
}

static void put(char **text, const char *with)
{
    free(*text);
    *text = mem_text(with);
}

static void the_study_s_row_is_rewritten_whole(void **state)
{
    struct house *house = *state;
    struct store_study study = rows_study();
    struct store_study read = {0};

    fill(house);
    struct store *store = open_store(house);
    study.epoch = 3;
    put(&study.stage, "search");
    put(&study.state, "failed");
    put(&study.reason, "three in a row");
    put(&study.ending, "asked to finish");
    study.generation = 5;
    study.evaluations_max = 99;
    study.forgiven = 1;
    study.winner = 1;
    put(&study.verdict, "[\"so\"]");
    memset(study.trajectory, 'd', DIGEST_HEX - 1);
    begin(store);
    rows_must(store_set_study(store, &study, &house->err), &house->err);
    commit(store);
    rows_must(store_study(store, &read, &house->err), &house->err);
    assert_int_equal(read.epoch, 3);
    assert_string_equal(read.stage, "search");
    assert_string_equal(read.state, "failed");
    assert_string_equal(read.reason, "three in a row");
    assert_string_equal(read.ending, "asked to finish");
    assert_int_equal(read.generation, 5);
    assert_int_equal(read.evaluations_max, 99);
    assert_int_equal(read.forgiven, 1);
    assert_int_equal(read.winner, 1);
    assert_string_equal(read.verdict, "[\"so\"]");
    assert_string_equal(read.trajectory, study.trajectory);
    store_study_release(&study);
    store_study_release(&read);
    store_close(store);
}

static void settings_and_exports_are_kept(void **state)
{
    struct house *house = *state;
    const struct store_export export = {1, "huggingface", "out", "w"};
    char *value = NULL;

    fill(house);
    struct store *store = open_store(house);
    assert_int_equal(store_setting(store, "notes", &value, &house->err), ERR_MISSING);
    rows_must(store_set_setting(store, "notes", "one", &house->err), &house->err);
    rows_must(store_set_setting(store, "notes", "two", &house->err), &house->err);
    rows_must(store_setting(store, "notes", &value, &house->err), &house->err);
    assert_string_equal(value, "two");
    free(value);
    rows_must(store_add_export(store, &export, &house->err), &house->err);
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_ours_alone),
        TEST(what_was_written_is_there_when_it_is_opened_again),
        TEST(a_second_writer_is_told_who_is_the_first),
        TEST(a_newer_schema_is_refused_with_both_numbers),
        TEST(an_older_schema_is_brought_up_to_date),
        TEST(a_reader_of_an_older_schema_has_it_brought_up_to_date),
        TEST(another_program_s_database_is_left_alone),
        TEST(a_file_that_is_no_database_is_left_alone),
        TEST(a_missing_folder_is_named),
        TEST(a_file_without_a_study_says_so),
        TEST(a_reader_needs_a_file),
        TEST(a_reader_sees_what_is_committed_and_nothing_else),
        TEST(a_reader_cannot_write),
        TEST(a_copy_made_in_use_opens_like_the_original),
        TEST(what_is_rolled_back_was_never_there),
        TEST(dying_before_a_commit_stores_nothing),
        TEST(dying_after_a_commit_stores_everything),
        TEST(a_full_disk_is_a_limit_and_leaves_the_old_state),
        TEST(a_changed_event_is_found),
        TEST(a_missing_event_is_found),
        TEST(a_changed_result_is_found),
        TEST(a_changed_study_model_or_task_is_a_conflict),
        TEST(the_study_s_row_is_rewritten_whole),
        TEST(settings_and_exports_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
