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
 * lower and upper hold null for an infinite side. A line that cannot be used gets {"error":".."}
 * and changes nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "search/cmaes.h"

static struct cmaes *search; /* NULL until "new" or "restore" */

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

static int check_supported(const json_t *line, size_t n, double *scratch, struct err *err)
{
    const char *algorithm;
    int rc = doc_text_or(line, "algorithm", "cma-es", &algorithm, err);

    if (rc == 0 && strcmp(algorithm, "cma-es") != 0) {
        rc = err_set(err, ERR_MISSING, "algorithm: no '%s'; there is cma-es", algorithm);
    }
    if (rc == 0 && is_given(line, "steps")) {
        rc = read_numbers(line, "steps", n, NULL, scratch, err);
        for (size_t j = 0; rc == 0 && j < n; j++) {
            if (scratch[j] != 0.0) {
                rc = err_set(err, ERR_MISSING, "steps[%zu]: cma-es has no integer coordinates", j);
            }
        }
    }
    return rc;
}

static int read_new(struct cmaes **out, const json_t *line, struct err *err)
{
    static const char *const known[] = {"cmd",  "algorithm", "n",     "x0",    "sigma",
                                        "seed", "lam",       "lower", "upper", "steps"};
    const double below = -HUGE_VAL, above = HUGE_VAL;
    int64_t n, seed, lambda = 0;
    struct cmaes_options options = {0};
    double *numbers = NULL;
    int rc;

    if ((rc = doc_only(line, known, sizeof known / sizeof *known, err)) != 0 ||
        (rc = doc_integer(line, "n", 1, CMAES_N_MAX, &n, err)) != 0 ||
        (rc = doc_integer_or(line, "seed", 0, INT64_MAX, 1, &seed, err)) != 0 ||
        (rc = doc_number(line, "sigma", &options.sigma, err)) != 0) {
        return rc;
    }
    if (is_given(line, "lam")) {
        rc = doc_integer(line, "lam", 2, CMAES_LAMBDA_MAX, &lambda, err);
    }
    options.n = (size_t)n;
    options.seed = (uint64_t)seed;
    options.lambda = (size_t)lambda;
    numbers = mem_array(4 * options.n, sizeof *numbers);
    options.start = numbers;
    rc = rc != 0 ? rc : check_supported(line, options.n, numbers + 3 * options.n, err);
    rc = rc != 0 ? rc : read_numbers(line, "x0", options.n, NULL, numbers, err);
    if (rc == 0 && is_given(line, "lower")) {
        options.lower = numbers + options.n;
        rc = read_numbers(line, "lower", options.n, &below, numbers + options.n, err);
    }
    if (rc == 0 && is_given(line, "upper")) {
        options.upper = numbers + 2 * options.n;
        rc = read_numbers(line, "upper", options.n, &above, numbers + 2 * options.n, err);
    }
    if (rc == 0) {
        rc = cmaes_new(out, &options, err);
    }
    free(numbers);
    return rc;
}

/* ---- commands: each appends its reply's members to an object ---- */

static int command_new(const json_t *line, json_t *reply, struct err *err)
{
    struct cmaes *made = NULL;
    int rc = read_new(&made, line, err);

    if (rc == 0) {
        cmaes_free(search);
        search = made;
        json_object_set_new(reply, "ok", json_true());
    }
    return rc;
}

static int command_ask(const json_t *line, json_t *reply, struct err *err)
{
    (void)line;
    (void)err;
    const size_t n = cmaes_n(search), lambda = cmaes_lambda(search);
    double *points = mem_array(lambda * n, sizeof *points);
    json_t *x = json_array();

    cmaes_ask(search, points);
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

static int command_tell(const json_t *line, json_t *reply, struct err *err)
{
    const double failed = (double)NAN;
    double *f = mem_array(cmaes_lambda(search), sizeof *f);
    int rc = read_numbers(line, "f", cmaes_lambda(search), &failed, f, err);

    if (rc == 0) {
        rc = cmaes_tell(search, f, err);
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
    const char *name = cmaes_stop(search);

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

    cmaes_save(search, &bytes, &n);
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
    struct cmaes *made = NULL;

    for (size_t i = 0; i < n && rc == 0; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        rc = high < 0 || low < 0 ? err_set(err, ERR_FORMAT, "state: not hex at %zu", 2 * i) : 0;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    if (rc == 0) {
        rc = cmaes_restore(&made, bytes, n, err);
    }
    if (rc == 0) {
        cmaes_free(search);
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
    cmaes_free(search);
    return 0;
}
