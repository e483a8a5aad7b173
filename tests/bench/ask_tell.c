/*
 * ask_tell.c - an optimiser driven from outside: one JSON object a line in, one a line out, so that
 * any benchmark suite in any language can try our optimisers.
 *
 *   {"cmd":"new","algorithm":"cma-es","n":3,"x0":[0,0,0],"sigma":1,"seed":1,
 *    "lam":null,"lower":null,"upper":null,"steps":null}
 *                               -> {"ok":true}
 *   {"cmd":"ask"}               -> {"x":[[..],..]}   the whole generation, as the objective sees it
 *   {"cmd":"tell","f":[..]}     -> {"ok":true}       in the order of ask; null is a failure
 *   {"cmd":"stop"}              -> {"stop":null}     or the name of the rule that fired
 *   {"cmd":"save"}              -> {"state":"<hex>"}
 *   {"cmd":"restore","state":"<hex>"} -> {"ok":true}
 *
 * lower and upper hold null for an infinite side; steps 0 for a continuous coordinate, else the
 * grid of an integer one. "restarts", "noise", "objectives" (f then holds a list a candidate) and
 * "evaluations" are as in search/optimiser.h. A line that cannot be used gets {"error":".."}
 * and changes nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "search/optimiser.h"

static struct optimiser *search; /* NULL until "new" or "restore" */

/* ---- reading ---- */

/* An array of n numbers; null entries become `absent`, unless that is NaN and nulls are not
 * allowed. */
static int read_numbers(const json_t *line, const char *key, size_t n, const double *absent,
                        double *out, struct err *err)
{
    json_t *array;
    int rc = doc_array(line, key, &array, err);

    if (rc != 0) {
        return rc;
    }
    if (json_array_size(array) != n) {
        return err_set(err, ERR_FORMAT, "%s: %zu entries, expected %zu", key,
                       json_array_size(array), n);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(array, i);

        if (json_is_null(entry) && absent != NULL) {
            out[i] = *absent;
        } else if (json_is_number(entry)) {
            out[i] = json_number_value(entry);
        } else {
            return err_set(err, ERR_FORMAT, "%s[%zu]: expected a number, got %s", key, i,
                           doc_kind(entry));
        }
    }
    return 0;
}

static bool is_given(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);

    return value != NULL && !json_is_null(value);
}

/* The arrays of "new": start, lower, upper and steps in numbers [4, n]. */
static int read_arrays(const json_t *line, size_t n, double *numbers,
                       struct optimiser_options *options, struct err *err)
{
    const double below = -HUGE_VAL, above = HUGE_VAL, none = 0.0;
    int rc = read_numbers(line, "x0", n, NULL, numbers, err);

    options->start = numbers;
    if (rc == 0 && is_given(line, "lower")) {
        options->lower = numbers + n;
        rc = read_numbers(line, "lower", n, &below, numbers + n, err);
    }
    if (rc == 0 && is_given(line, "upper")) {
        options->upper = numbers + 2 * n;
        rc = read_numbers(line, "upper", n, &above, numbers + 2 * n, err);
    }
    if (rc == 0 && is_given(line, "steps")) {
        options->steps = numbers + 3 * n;
        rc = read_numbers(line, "steps", n, &none, numbers + 3 * n, err);
    }
    return rc;
}

/* A whole number of "new", `missing` when it is absent or null. */
static int read_count(const json_t *line, const char *key, int64_t least, int64_t most,
                      int64_t missing, int64_t *out, struct err *err)
{
    *out = missing;
    return is_given(line, key) ? doc_integer(line, key, least, most, out, err) : 0;
}

static int read_new(struct optimiser **out, const json_t *line, struct err *err)
{
    static const char *const known[] = {"cmd",   "algorithm", "n",          "x0",         "sigma",
                                        "seed",  "lam",       "lower",      "upper",      "steps",
                                        "noise", "restarts",  "objectives", "evaluations"};
    int64_t n, seed, lambda, objectives, evaluations;
    struct optimiser_options options = {0};
    int rc;

    if ((rc = doc_only(line, known, sizeof known / sizeof *known, err)) != 0 ||
        (rc = doc_integer(line, "n", 1, OPTIMISER_N_MAX, &n, err)) != 0 ||
        (rc = doc_number(line, "sigma", &options.sigma, err)) != 0 ||
        (rc = doc_text_or(line, "algorithm", "cma-es", &options.algorithm, err)) != 0 ||
        (rc = doc_text_or(line, "restarts", "none", &options.restarts, err)) != 0 ||
        (rc = doc_text_or(line, "noise", "none", &options.noise, err)) != 0 ||
        (rc = read_count(line, "seed", 0, INT64_MAX, 1, &seed, err)) != 0 ||
        (rc = read_count(line, "lam", 2, 65536, 0, &lambda, err)) != 0 ||
        (rc = read_count(line, "objectives", 1, OPTIMISER_OBJECTIVES_MAX, 1, &objectives, err)) !=
            0 ||
        (rc = read_count(line, "evaluations", 0, INT64_MAX, 0, &evaluations, err)) != 0) {
        return rc;
    }
    double *numbers = mem_array(4 * (size_t)n, sizeof *numbers);

    options.n = (size_t)n;
    options.seed = (uint64_t)seed;
    options.lambda = (size_t)lambda;
    options.objectives = (size_t)objectives;
    options.evaluations = (uint64_t)evaluations;
    rc = read_arrays(line, options.n, numbers, &options, err);
    if (rc == 0) {
        rc = optimiser_new(out, &options, err);
    }
    free(numbers);
    return rc;
}

/* ---- commands: each appends its reply's members to an object ---- */

static int command_new(const json_t *line, json_t *reply, struct err *err)
{
    struct optimiser *made = NULL;
    int rc = read_new(&made, line, err);

    if (rc == 0) {
        optimiser_free(search);
        search = made;
        json_object_set_new(reply, "ok", json_true());
    }
    return rc;
}

static int command_ask(const json_t *line, json_t *reply, struct err *err)
{
    (void)line;
    (void)err;
    const size_t n = optimiser_n(search), lambda = optimiser_asks(search);
    double *points = mem_array(lambda * n, sizeof *points);
    json_t *x = json_array();

    optimiser_ask(search, points);
    for (size_t k = 0; k < lambda; k++) {
        json_t *point = json_array();

        for (size_t j = 0; j < n; j++) {
            json_array_append_new(point, json_real(points[k * n + j]));
        }
        json_array_append_new(x, point);
    }
    json_object_set_new(reply, "x", x);
    free(points);
    return 0;
}

/* Several objectives: a list a candidate. out [asks, m]. */
static int read_rows(const json_t *line, size_t asks, size_t m, double *out, struct err *err)
{
    const double failed = (double)NAN;
    json_t *rows;
    int rc = doc_array(line, "f", &rows, err);

    if (rc == 0 && json_array_size(rows) != asks) {
        rc = err_set(err, ERR_FORMAT, "f: %zu entries, expected %zu", json_array_size(rows), asks);
    }
    for (size_t k = 0; k < asks && rc == 0; k++) {
        json_t *row = json_pack("{s:O}", "f", json_array_get(rows, k));

        rc = read_numbers(row, "f", m, &failed, out + k * m, err);
        json_decref(row);
    }
    return rc;
}

static int command_tell(const json_t *line, json_t *reply, struct err *err)
{
    const double failed = (double)NAN;
    const size_t asks = optimiser_asks(search), m = optimiser_objectives(search);
    double *f = mem_array(asks * m, sizeof *f);
    int rc =
        m == 1 ? read_numbers(line, "f", asks, &failed, f, err) : read_rows(line, asks, m, f, err);

    if (rc == 0) {
        rc = optimiser_tell(search, f, err);
    }
    if (rc == 0) {
        json_object_set_new(reply, "ok", json_true());
    }
    free(f);
    return rc;
}

static int command_stop(const json_t *line, json_t *reply, struct err *err)
{
    (void)line;
    (void)err;
    const char *name = optimiser_stop(search);

    json_object_set_new(reply, "stop", name != NULL ? json_string(name) : json_null());
    return 0;
}

static int command_save(const json_t *line, json_t *reply, struct err *err)
{
    (void)line;
    (void)err;
    static const char digits[] = "0123456789abcdef";
    unsigned char *bytes;
    size_t n;

    optimiser_save(search, &bytes, &n);
    char *hex = mem_alloc(2 * n + 1);

    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    json_object_set_new(reply, "state", json_stringn(hex, 2 * n));
    free(hex);
    free(bytes);
    return 0;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int command_restore(const json_t *line, json_t *reply, struct err *err)
{
    const char *hex;
    int rc = doc_text(line, "state", &hex, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = strlen(hex) / 2;
    unsigned char *bytes = mem_alloc(n + 1);
    struct optimiser *made = NULL;

    for (size_t i = 0; i < n && rc == 0; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        rc = high < 0 || low < 0 ? err_set(err, ERR_FORMAT, "state: not hex at %zu", 2 * i) : 0;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    if (rc == 0) {
        rc = optimiser_restore(&made, bytes, n, err);
    }
    if (rc == 0) {
        optimiser_free(search);
        search = made;
        json_object_set_new(reply, "ok", json_true());
    }
    free(bytes);
    return rc;
}

static const struct command {
    const char *name;
    bool needs_search;
    int (*run)(const json_t *line, json_t *reply, struct err *err);
} commands[] = {{"new", false, command_new},  {"ask", true, command_ask},
                {"tell", true, command_tell}, {"stop", true, command_stop},
                {"save", true, command_save}, {"restore", false, command_restore}};

static int run_line(const json_t *line, json_t *reply, struct err *err)
{
    const char *name;
    int rc = doc_text(line, "cmd", &name, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            if (commands[i].needs_search && search == NULL) {
                return err_set(err, ERR_MISSING, "%s: there is no search yet; say new", name);
            }
            return commands[i].run(line, reply, err);
        }
    }
    return err_set(err, ERR_MISSING, "cmd: no '%s'", name);
}

int main(void)
{
    char *bytes = NULL;
    size_t capacity = 0;
    ssize_t size;

    while ((size = getline(&bytes, &capacity, stdin)) > 0) {
        struct err err = {0};
        json_t *line = NULL;
        json_t *reply = json_object();
        struct text printed = {0};
        int rc = doc_parse(&line, bytes, (size_t)size, &err);

        rc = rc != 0 ? rc : run_line(line, reply, &err);
        if (rc != 0) {
            json_object_clear(reply);
            json_object_set_new(reply, "error", json_string(err.text));
        }
        doc_print(&printed, reply);
        puts(text_get(&printed));
        fflush(stdout);
        text_release(&printed);
        json_decref(reply);
        json_decref(line);
    }
    free(bytes);
    optimiser_free(search);
    return 0;
}
