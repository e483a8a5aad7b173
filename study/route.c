/*
 * route.c - a route, and its text for people.
 *
 *   route := item { " " item }      item := span | "(" span { " " span } ")x" count
 *   span  := letter first [ "-" last ] [ "*" scale ]
 *
 * Repeats do not nest.
 */
#include "study/route.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- hops ---- */

void route_add(struct route *route, uint32_t model, uint32_t layer, double scale)
{
    route->hops = mem_resize(route->hops, route->n_hops + 1, sizeof(*route->hops));
    route->hops[route->n_hops++] = (struct route_hop){model, layer, scale};
}

void route_copy(struct route *out, const struct route *route)
{
    *out = (struct route){0};
    for (size_t k = 0; k < route->n_hops; k++) {
        route_add(out, route->hops[k].model, route->hops[k].layer, route->hops[k].scale);
    }
}

void route_release(struct route *route)
{
    free(route->hops);
    *route = (struct route){0};
}

static bool hop_equal(const struct route_hop *a, const struct route_hop *b)
{
    return a->model == b->model && a->layer == b->layer && a->scale == b->scale;
}

bool route_equal(const struct route *a, const struct route *b)
{
    bool equal = a->n_hops == b->n_hops;

    for (size_t k = 0; equal && k < a->n_hops; k++) {
        equal = hop_equal(&a->hops[k], &b->hops[k]);
    }
    return equal;
}

void route_fold(struct route *out, size_t *places, const struct route *route)
{
    *out = (struct route){0};
    for (size_t k = 0; k < route->n_hops; k++) {
        const struct route_hop block = {route->hops[k].model, route->hops[k].layer, 1};
        size_t i = 0;

        while (i < out->n_hops && !hop_equal(&out->hops[i], &block)) {
            i++;
        }
        if (i == out->n_hops) {
            route_add(out, block.model, block.layer, block.scale);
        }
        places[k] = i;
    }
}

static bool follows(const struct route_hop *before, const struct route_hop *hop)
{
    return hop->model == before->model && hop->layer == before->layer + 1 && hop->scale == 1;
}

size_t route_span(const struct route *route, size_t k)
{
    size_t end = k + 1;

    while (end < route->n_hops && follows(&route->hops[end - 1], &route->hops[end])) {
        end++;
    }
    return end - k;
}

static int hop_check(const struct route_hop *hop, size_t k, size_t n_models, struct err *err)
{
    if (hop->model >= n_models) {
        return err_set(err, ERR_FORMAT, "hop %zu: model %u, there are %zu", k, hop->model,
                       n_models);
    }
    if (hop->layer >= ROUTE_LAYERS_MAX) {
        return err_set(err, ERR_LIMIT, "hop %zu: layer %u is not below %d", k, hop->layer,
                       ROUTE_LAYERS_MAX);
    }
    if (!(hop->scale >= ROUTE_SCALE_MIN && hop->scale <= ROUTE_SCALE_MAX)) {
        return err_set(err, ERR_LIMIT, "hop %zu: scale %g is outside [%g, %g]", k, hop->scale,
                       ROUTE_SCALE_MIN, ROUTE_SCALE_MAX);
    }
    if (k == 0 && hop->scale != 1) {
        return err_set(err, ERR_FORMAT, "hop 0: scale %g, the first has none", hop->scale);
    }
    return 0;
}

int route_check(const struct route *route, size_t n_models, struct err *err)
{
    int rc = 0;

    if (route->n_hops > ROUTE_HOPS_MAX) {
        return err_set(err, ERR_LIMIT, "%zu hops are more than %d", route->n_hops, ROUTE_HOPS_MAX);
    }
    for (size_t k = 0; k < route->n_hops && rc == 0; k++) {
        rc = hop_check(&route->hops[k], k, n_models, err);
    }
    return rc;
}

/* ---- reading ---- */

struct reader {
    const char *text; /* whole */
    const char *at;
    struct route route; /* read so far */
    struct err *err;
};

/* The line names the word that begins at `word`. */
static int refuse(const struct reader *reader, enum err_code code, const char *word,
                  const char *what)
{
    size_t n = *word == '\0' ? 0 : 1 + strcspn(word + 1, " ()");

    return err_set(reader->err, code, "route, character %td, '%.*s': %s", word - reader->text + 1,
                   (int)(n < 32 ? n : 32), word, what);
}

static void skip_spaces(struct reader *reader)
{
    reader->at += strspn(reader->at, " ");
}

/* A whole number below `end`. */
static int read_number(struct reader *reader, const char *word, uint32_t end, const char *what,
                       uint32_t *out)
{
    char *rest;
    unsigned long value = strtoul(reader->at, &rest, 10);

    if (!isdigit((unsigned char)*reader->at) || value >= end) {
        return refuse(reader, ERR_FORMAT, word, what);
    }
    reader->at = rest;
    *out = (uint32_t)value;
    return 0;
}

/* "*1.4" or nothing. */
static int read_scale(struct reader *reader, const char *word, double *scale)
{
    *scale = 1;
    if (*reader->at != '*') {
        return 0;
    }
    const char *digits = reader->at + 1;
    size_t n = strspn(digits, "0123456789.");
    char *rest;

    *scale = strtod(digits, &rest);
    if (n == 0 || rest != digits + n || !(*scale >= ROUTE_SCALE_MIN && *scale <= ROUTE_SCALE_MAX)) {
        return refuse(reader, ERR_LIMIT, word, "a scale is a number from 0.25 to 4");
    }
    if (reader->route.n_hops == 0 && *scale != 1) {
        return refuse(reader, ERR_FORMAT, word, "the first hop has no scale");
    }
    reader->at = rest;
    return 0;
}

static int read_span(struct reader *reader)
{
    const char *word = reader->at;
    uint32_t first = 0;
    uint32_t last = 0;
    double scale = 1;
    int rc;

    if (*word < 'A' || *word > 'Z') {
        return refuse(reader, ERR_FORMAT, word, "expected a model's letter, as in A0-7");
    }
    reader->at++;
    rc = read_number(reader, word, ROUTE_LAYERS_MAX, "expected a layer below 4096", &first);
    last = first;
    if (rc == 0 && *reader->at == '-') {
        reader->at++;
        rc = read_number(reader, word, ROUTE_LAYERS_MAX, "expected a last layer below 4096", &last);
    }
    if (rc != 0 || (rc = read_scale(reader, word, &scale)) != 0) {
        return rc;
    }
    if (last < first) {
        return refuse(reader, ERR_FORMAT, word, "the last layer is before the first");
    }
    if (*reader->at != '\0' && strchr(" )", *reader->at) == NULL) {
        return refuse(reader, ERR_FORMAT, word, "expected a span, as in A0-7 or B8-11*1.4");
    }
    if (reader->route.n_hops + (last - first) >= ROUTE_HOPS_MAX) {
        return refuse(reader, ERR_LIMIT, word, "more than 1024 hops");
    }
    for (uint32_t layer = first; layer <= last; layer++) {
        route_add(&reader->route, (uint32_t)(*word - 'A'), layer, layer == first ? scale : 1);
    }
    return 0;
}

/* Spans up to ")", then the hops since `start` as often as "x2" says. */
static int read_repeat(struct reader *reader)
{
    const char *word = reader->at++;
    size_t start = reader->route.n_hops;
    uint32_t count = 0;
    int rc = 0;

    for (skip_spaces(reader); rc == 0 && *reader->at != ')'; skip_spaces(reader)) {
        rc = read_span(reader);
    }
    size_t n = reader->route.n_hops - start;

    if (rc != 0) {
        return rc;
    }
    if (n == 0 || *++reader->at != 'x') {
        return refuse(reader, ERR_FORMAT, word, "expected a repeat, as in (A0-7 B8)x2");
    }
    reader->at++;
    if ((rc = read_number(reader, word, ROUTE_HOPS_MAX + 1, "expected a count", &count)) != 0) {
        return rc;
    }
    if (count == 0 || start + n * count > ROUTE_HOPS_MAX) {
        return refuse(reader, ERR_LIMIT, word, "no repeats, or more than 1024 hops");
    }
    for (size_t k = start; k < start + n * (count - 1); k++) {
        struct route_hop hop = reader->route.hops[k];

        route_add(&reader->route, hop.model, hop.layer, hop.scale);
    }
    return *reader->at == '\0' || *reader->at == ' '
               ? 0
               : refuse(reader, ERR_FORMAT, word, "expected a space after the repeat");
}

int route_parse(struct route *out, const char *text, struct err *err)
{
    struct reader reader = {.text = text, .at = text, .err = err};
    int rc = 0;

    for (skip_spaces(&reader); rc == 0 && *reader.at != '\0'; skip_spaces(&reader)) {
        rc = *reader.at == '(' ? read_repeat(&reader) : read_span(&reader);
        if (rc == 0 && *reader.at == ')') {
            rc = refuse(&reader, ERR_FORMAT, reader.at, "')' without '('");
        }
    }
    if (rc == 0 && reader.route.n_hops == 0) {
        rc = err_set(err, ERR_FORMAT, "route: no hops");
    }
    if (rc != 0) {
        route_release(&reader.route);
        return rc;
    }
    *out = reader.route;
    return 0;
}

/* ---- printing ---- */

/*
 * The shortest text, found from the back: best[i] is the length of the shortest text of hops i..,
 * and how its first item looks. Repeats are sought as periods: agree[p] hops from i on equal those
 * p later, so that the first p hops stand 1 + agree[p] / p times in a row.
 */
struct item {
    size_t length; /* of the text from here to the end */
    size_t period; /* hops written */
    size_t count;  /* 1: a span; more: a repeat */
};

struct printer {
    const struct route_hop *hops;
    size_t n;
    struct item *best; /* [n + 1] */
    size_t *agree;     /* [n] */
};

static void print_span(struct text *out, const struct route_hop *hops, size_t n)
{
    text_printf(out, "%c%u", (char)('A' + hops->model), hops->layer);
    if (n > 1) {
        text_printf(out, "-%u", hops[n - 1].layer);
    }
    if (hops->scale != 1) {
        text_add_char(out, '*');
        text_add_double(out, hops->scale, false);
    }
}

static size_t digits_of(size_t value)
{
    return value < 10 ? 1 : 1 + digits_of(value / 10);
}

/* Keep the item at hop i if it gives a shorter text. */
static void consider(struct printer *printer, size_t i, size_t length, size_t period, size_t count)
{
    size_t end = i + period * count;
    size_t whole = length + (end < printer->n) + printer->best[end].length;

    if (whole < printer->best[i].length) {
        printer->best[i] = (struct item){whole, period, count};
    }
}

/* The best first item at hop i, all later ones being known. */
static void choose(struct printer *printer, size_t i, struct text *scratch)
{
    const struct route_hop *hops = printer->hops + i;
    size_t n = printer->n - i;
    size_t spans = 0;    /* characters of the spans before the one that hop p - 1 is in */
    size_t first = 0;    /* where that one begins */
    bool natural = true; /* it is the first */

    printer->best[i].length = SIZE_MAX;
    for (size_t p = 1; p <= n; p++) {
        if (p > 1 && !follows(&hops[p - 2], &hops[p - 1])) {
            spans += scratch->size + 1;
            first = p - 1;
            natural = false;
        }
        text_clear(scratch);
        print_span(scratch, hops + first, p - first);
        if (natural) {
            consider(printer, i, scratch->size, p, 1);
        }
        printer->agree[p - 1] =
            p < n && hop_equal(&hops[0], &hops[p]) ? 1 + printer->agree[p - 1] : 0;
        for (size_t count = 2; count <= 1 + printer->agree[p - 1] / p; count++) {
            consider(printer, i, 3 + spans + scratch->size + digits_of(count), p, count);
        }
    }
}

static void print_spans(struct text *out, const struct route_hop *hops, size_t n)
{
    for (size_t first = 0, end = 1; end <= n; end++) {
        if (end == n || !follows(&hops[end - 1], &hops[end])) {
            text_add(out, first > 0 ? " " : "");
            print_span(out, hops + first, end - first);
            first = end;
        }
    }
}

void route_print(struct text *out, const struct route *route)
{
    size_t n = route->n_hops;
    struct printer printer = {route->hops, n, mem_array(n + 1, sizeof(struct item)),
                              mem_array(n, sizeof(size_t))};
    struct text scratch = {0};

    for (size_t i = n; i-- > 0;) {
        choose(&printer, i, &scratch);
    }
    for (size_t i = 0; i < n;) {
        const struct item *item = &printer.best[i];

        text_add(out, i > 0 ? " " : "");
        text_add(out, item->count > 1 ? "(" : "");
        print_spans(out, route->hops + i, item->period);
        if (item->count > 1) {
            text_printf(out, ")x%zu", item->count);
        }
        i += item->period * item->count;
    }
    text_release(&scratch);
    free(printer.best);
    free(printer.agree);
}
