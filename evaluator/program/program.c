/*
 * program.c - the keys of a task that a program scores, and its wire form.
 */
#include "evaluator/program/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/program_words.h"
#include "study/place.h"
#include "study/quantity.h"

#define NAME_MAX_BYTES 128
#define TIMEOUT "1h"

void program_release(struct program *program)
{
    free(program->name);
    strings_release(&program->words);
    free(program->folder);
    free(program->task);
    free(program->metric);
    *program = (struct program){0};
}

/* ---- keys ---- */

static int parse_name(struct program *made, const json_t *config, struct err *err)
{
    const char *name;
    const char *output;
    int rc;

    if ((rc = doc_text(config, "task", &name, err)) != 0 ||
        (rc = doc_text(config, "output_type", &output, err)) != 0) {
        return rc;
    }
    if (*name == '\0' || strlen(name) > NAME_MAX_BYTES) {
        return err_set(err, ERR_FORMAT, "task: a name has 1 to %d bytes", NAME_MAX_BYTES);
    }
    if (strcmp(output, PROGRAM_OUTPUT) != 0) {
        return err_set(err, ERR_FORMAT, "output_type: \"%.64s\" has no command", output);
    }
    made->name = mem_text(name);
    return 0;
}

static int parse_words(struct program *made, const json_t *config, struct err *err)
{
    int rc = strings_read(&made->words, config, "command", PROGRAM_WORDS_MAX, err);

    if (rc == 0 && (made->words.n == 0 || *made->words.all[0] == '\0')) {
        rc = err_set(err, ERR_FORMAT, "command: names no program");
    }
    for (size_t i = 0; rc == 0 && i < made->words.n; i++) {
        rc = program_word_check(made->words.all[i], err);
    }
    return rc;
}

/* {task: gsm8k_train, metric: "exact_match,strict-match"}; the task's own name is the usual one. */
static int parse_score(struct program *made, const json_t *config, struct err *err)
{
    static const char *const known[] = {"task", "metric"};
    json_t *score;
    const char *task;
    const char *metric;

    if (json_object_get(config, "score") == NULL) {
        return 0;
    }
    const int rc = doc_object(config, "score", &score, err);

    if (rc != 0) {
        return rc;
    }
    if (doc_only(score, known, sizeof known / sizeof *known, err) != 0 ||
        doc_text_or(score, "task", made->name, &task, err) != 0 ||
        doc_text(score, "metric", &metric, err) != 0) {
        return place_within(err, score, "score");
    }
    if (*task == '\0' || *metric == '\0') {
        return err_set(err, ERR_FORMAT, "score: %s: expected a name, got an empty text",
                       *task == '\0' ? "task" : "metric");
    }
    made->task = mem_text(task);
    made->metric = mem_text(metric);
    return 0;
}

static int parse_rest(struct program *made, const json_t *config, struct err *err)
{
    const char *timeout;
    bool higher = true;
    int rc;

    if ((rc = doc_text_or(config, "timeout", TIMEOUT, &timeout, err)) != 0 ||
        (rc = doc_bool_or(config, "higher_is_better", true, &higher, err)) != 0 ||
        (rc = doc_bool_or(config, "splits", program_words_have(&made->words, PROGRAM_SPLIT),
                          &made->splits, err)) != 0 ||
        (rc = doc_integer_or(config, "version", INT64_MIN, INT64_MAX, 0, &made->version, err)) !=
            0) {
        return rc;
    }
    if (json_object_get(config, "higher_is_better") != NULL) {
        made->better = higher ? OUTCOME_HIGHER : OUTCOME_LOWER;
    }
    rc = quantity_duration(&made->timeout_ms, timeout, err);
    return rc == 0 ? 0 : err_wrap(err, "timeout");
}

/* Two tasks of the same words are the same; how long they may take and from where they start is no
 * part of what is asked. */
static void find_digest(struct program *made)
{
    struct digest *digest = digest_new();

    digest_add_text(digest, PROGRAM_OUTPUT);
    digest_add_u64(digest, (uint64_t)made->version);
    digest_add_u64(digest, made->words.n);
    for (size_t i = 0; i < made->words.n; i++) {
        digest_add_text(digest, made->words.all[i]);
    }
    digest_add_text(digest, made->task != NULL ? made->task : "");
    digest_add_text(digest, made->metric != NULL ? made->metric : "");
    digest_add_u64(digest, made->better);
    digest_add_u64(digest, made->splits);
    digest_end_hex(digest, made->digest);
}

static int parse_all(struct program *made, const json_t *config, struct err *err)
{
    static const char *const known[] = {"task",  "output_type",      "command", "timeout",
                                        "score", "higher_is_better", "splits",  "version"};
    int rc;

    if ((rc = doc_only(config, known, sizeof known / sizeof *known, err)) != 0 ||
        (rc = parse_name(made, config, err)) != 0 || (rc = parse_words(made, config, err)) != 0 ||
        (rc = parse_score(made, config, err)) != 0 || (rc = parse_rest(made, config, err)) != 0) {
        return rc;
    }
    find_digest(made);
    return 0;
}

int program_parse(struct program *out, const json_t *config, const char *folder, struct err *err)
{
    struct program made = {0};
    int rc = parse_all(&made, config, err);

    if (rc == 0) {
        rc = file_absolute(&made.folder, folder, err);
    }
    if (rc != 0) {
        program_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

/* ---- the wire form ---- */

json_t *program_print(const struct program *program)
{
    struct text timeout = {0};

    quantity_print_duration(&timeout, program->timeout_ms);
    json_t *config = json_pack("{s:s, s:s, s:o, s:s, s:b, s:I}", "task", program->name,
                               "output_type", PROGRAM_OUTPUT, "command",
                               strings_print(&program->words), "timeout", text_get(&timeout),
                               "splits", program->splits, "version", (json_int_t)program->version);

    if (program->task != NULL) {
        json_object_set_new(
            config, "score",
            json_pack("{s:s, s:s}", "task", program->task, "metric", program->metric));
    }
    if (program->better != OUTCOME_UNSAID) {
        json_object_set_new(config, "higher_is_better",
                            json_boolean(program->better == OUTCOME_HIGHER));
    }
    text_release(&timeout);
    return json_pack("{s:o, s:s, s:s}", "config", config, "folder", program->folder, "digest",
                     program->digest);
}

int program_read(struct program *out, const json_t *json, struct err *err)
{
    static const char *const known[] = {"config", "folder", "digest"};
    struct program made = {0};
    json_t *config;
    const char *folder;
    const char *digest;

    if (doc_only(json, known, sizeof known / sizeof *known, err) != 0 ||
        doc_object(json, "config", &config, err) != 0 ||
        doc_text(json, "folder", &folder, err) != 0 ||
        doc_text(json, "digest", &digest, err) != 0 || parse_all(&made, config, err) != 0) {
        program_release(&made);
        return err_wrap(err, "command");
    }
    if (strcmp(made.digest, digest) != 0) {
        const int rc = err_set(err, ERR_CONFLICT, "command: digest %.64s, but its words have %s",
                               digest, made.digest);

        program_release(&made);
        return rc;
    }
    made.folder = mem_text(folder);
    *out = made;
    return 0;
}

/* ---- what others ask of it ---- */

const char *program_column(const struct program *program)
{
    return program->metric != NULL ? program->metric : "score";
}

bool program_higher_is_better(const struct program *program)
{
    return program->better != OUTCOME_LOWER;
}

static bool is_executable(const char *folder, size_t n, const char *name)
{
    char *path = n > 0 ? mem_printf("%.*s/%s", (int)n, folder, name) : mem_text(name);
    const bool found = access(path, X_OK) == 0 && !file_is_dir(path);

    free(path);
    return found;
}

bool program_is_there(const struct program *program)
{
    const char *name = program->words.all[0];
    const char *path = getenv("PATH");

    if (strchr(name, '{') != NULL) {
        return true;
    }
    if (strchr(name, '/') != NULL) {
        char *resolved = file_resolve(program->folder, name);
        const bool found = is_executable("", 0, resolved);

        free(resolved);
        return found;
    }
    for (const char *at = path; at != NULL && *at != '\0';) {
        const size_t n = strcspn(at, ":");

        if (is_executable(n > 0 ? at : ".", n > 0 ? n : 1, name)) {
            return true;
        }
        at += n + (at[n] == ':');
    }
    return false;
}
