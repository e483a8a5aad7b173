/*
 * cmaes_bytes.c - the state of a CMA-ES as bytes and back.
 *
 *      0   8  "CMAES\0\0" and the version, one byte
 *      8   8  n
 *     16   8  lambda
 *     24   8  what kind of search, a bit each: 1 passive, 2 separable, 4 accelerated, 8 integer
 *             coordinates, 16 adaptive rates; from bit 32 on how many candidates are foreign
 *     32      the fields listed in state_fields(), one after the other, 8 bytes a value:
 *               doubles     the bits of the binary64
 *               counters    as they are
 *               flags       0 or 1
 *               triangle    rows 0 .. n - 1, columns 0 .. row, of doubles
 *             what this kind of search lacks takes no bytes
 *
 * All little-endian. The axes are stored although they follow from a covariance: with lazy
 * decomposition it is an older covariance, which is gone. Samples are not stored: they follow from
 * seed and round.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/bounds.h"
#include "search/cmaes_internal.h"

#define HEADER_BYTES 32

enum { PASSIVE = 1, SEPARABLE = 2, ACCELERATED = 4, MIXED = 8, ADAPTIVE = 16, KINDS = 31 };

static const unsigned char magic[8] = {'C', 'M', 'A', 'E', 'S', 0, 0, 1};

enum kind { DOUBLES, COUNTERS, FLAGS, TRIANGLE };

/* `n` values at `at`; a triangle has n rows of n doubles there. */
struct field {
    enum kind kind;
    void *at;
    size_t n;
};

#define FIELDS 64

/* All that a restored search needs, in the order of the bytes. The only list of it. */
static size_t state_fields(struct cmaes *s, struct field out[FIELDS])
{
    struct cmaes_limits *l = &s->limits;
    const size_t n = s->n;
    const size_t matrix = s->model == CMAES_SEPARABLE ? 0 : n;
    const size_t path = s->model == CMAES_ACCELERATED ? n : 0, cells = s->mixed ? n : 0;
    const size_t adaptive = s->rates != NULL ? 1 : 0;
    struct cmaes_rates none = {0}, *rates = adaptive != 0 ? s->rates : &none;
    const struct field fields[] = {
        {COUNTERS, &s->seed, 1},
        {COUNTERS, &s->stream, 1},
        {DOUBLES, &l->f_target, 1},
        {COUNTERS, &l->rounds, 1},
        {DOUBLES, &l->x, 1},
        {DOUBLES, &l->f, 1},
        {DOUBLES, &l->f_history, 1},
        {COUNTERS, &l->flat, 1},
        {DOUBLES, &l->x_up, 1},
        {DOUBLES, &l->sigma_up, 1},
        {DOUBLES, &l->condition, 1},
        {FLAGS, &l->no_effect, 1},
        {FLAGS, &l->stagnation, 1},
        {DOUBLES, &l->x_stagnation, 1},
        {DOUBLES, s->lower, n},
        {DOUBLES, s->upper, n},
        {DOUBLES, &s->sigma_start, 1},
        {DOUBLES, s->scales_start, n},
        {DOUBLES, s->mean, n},
        {DOUBLES, &s->sigma, 1},
        {DOUBLES, s->scales, n},
        {TRIANGLE, s->covariance, matrix},
        {DOUBLES, s->axes, matrix * n},
        {DOUBLES, s->lengths, n},
        {DOUBLES, s->p_c, n},
        {DOUBLES, s->p_sigma, n},
        {COUNTERS, &s->generation, 1},
        {COUNTERS, &s->round, 1},
        {COUNTERS, &s->decomposed, 1},
        {COUNTERS, &s->stops, 1},
        {DOUBLES, &s->best, 1},
        {DOUBLES, s->best_point, n},
        {COUNTERS, &s->best_generation, 1},
        {COUNTERS, &s->flat, 1},
        {DOUBLES, s->recent, s->n_recent},
        {DOUBLES, s->slow_best, s->n_slow},
        {DOUBLES, s->slow_median, s->n_slow},
        {DOUBLES, s->anchor, n},
        {COUNTERS, &s->anchor_generation, 1},
        {DOUBLES, s->p_d, path},
        {DOUBLES, &s->margin, s->mixed ? 1 : 0},
        {DOUBLES, s->steps, cells},
        {DOUBLES, s->spreads, cells},
        {DOUBLES, s->mutation, cells},
        {DOUBLES, &rates->mean.eta, adaptive},
        {DOUBLES, &rates->mean.W, adaptive},
        {DOUBLES, rates->mean.E, adaptive * n},
        {DOUBLES, &rates->covariance.eta, adaptive},
        {DOUBLES, &rates->covariance.W, adaptive},
        {DOUBLES, rates->covariance.E, adaptive * n * n},
        {DOUBLES, s->injected, (size_t)s->foreign * n},
    };
    const size_t count = sizeof fields / sizeof *fields;

    static_assert(sizeof fields / sizeof *fields <= FIELDS, "room for every field");
    memcpy(out, fields, sizeof fields);
    return count;
}

static uint64_t kind_of(const struct cmaes *s)
{
    uint64_t kind = s->passive ? PASSIVE : 0;

    kind |= s->model == CMAES_SEPARABLE     ? SEPARABLE
            : s->model == CMAES_ACCELERATED ? ACCELERATED
                                            : 0;
    kind |= s->mixed ? MIXED : 0;
    kind |= s->rates != NULL ? ADAPTIVE : 0;
    return kind | s->foreign << 32;
}

static size_t field_values(const struct field *field)
{
    return field->kind == TRIANGLE ? field->n * (field->n + 1) / 2 : field->n;
}

static size_t state_bytes(struct cmaes *s)
{
    struct field fields[FIELDS];
    size_t count = state_fields(s, fields);
    size_t bytes = HEADER_BYTES;

    for (size_t i = 0; i < count; i++) {
        bytes += 8 * field_values(&fields[i]);
    }
    return bytes;
}

static unsigned char *put(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (unsigned char)(value >> 8 * i);
    }
    return at + 8;
}

static unsigned char *put_doubles(unsigned char *at, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;

        memcpy(&bits, values + i, sizeof bits);
        at = put(at, bits);
    }
    return at;
}

static unsigned char *put_field(unsigned char *at, const struct field *field)
{
    const double *doubles = field->at;
    const uint64_t *counters = field->at;
    const bool *flags = field->at;

    if (field->kind == DOUBLES) {
        return put_doubles(at, doubles, field->n);
    }
    for (size_t i = 0; i < field->n; i++) {
        at = field->kind == TRIANGLE ? put_doubles(at, doubles + i * field->n, i + 1)
                                     : put(at, field->kind == FLAGS ? flags[i] : counters[i]);
    }
    return at;
}

void cmaes_save(const struct cmaes *cmaes, unsigned char **bytes, size_t *n)
{
    struct cmaes *s =
        (struct cmaes *)cmaes; /* the field list serves reading and writing; here it reads */
    struct field fields[FIELDS];
    size_t count = state_fields(s, fields);
    size_t size = state_bytes(s);
    unsigned char *made = mem_alloc(size);
    unsigned char *at = made;

    memcpy(at, magic, sizeof magic);
    at = put(at + sizeof magic, s->n);
    at = put(at, s->lambda);
    at = put(at, kind_of(s));
    for (size_t i = 0; i < count; i++) {
        at = put_field(at, &fields[i]);
    }
    assert(at == made + size);
    *bytes = made;
    *n = size;
}

static uint64_t get(const unsigned char *at)
{
    uint64_t value = 0;

    for (int i = 8; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

static const unsigned char *get_doubles(const unsigned char *at, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = get(at + 8 * i);

        memcpy(values + i, &bits, sizeof bits);
    }
    return at + 8 * n;
}

/* NULL when a flag is neither 0 nor 1. */
static const unsigned char *get_field(const unsigned char *at, const struct field *field)
{
    double *doubles = field->at;

    if (field->kind == DOUBLES) {
        return get_doubles(at, doubles, field->n);
    }
    for (size_t i = 0; i < field->n; i++) {
        if (field->kind == TRIANGLE) {
            at = get_doubles(at, doubles + i * field->n, i + 1);
            continue;
        }
        uint64_t value = get(at);

        at += 8;
        if (field->kind == COUNTERS) {
            ((uint64_t *)field->at)[i] = value;
        } else if (value <= 1) {
            ((bool *)field->at)[i] = value == 1;
        } else {
            return NULL;
        }
    }
    return at;
}

/* ---- hostile bytes ---- */

static bool all_within(const double *values, size_t n, double least, double most)
{
    for (size_t i = 0; i < n; i++) {
        if (!(values[i] >= least && values[i] <= most)) {
            return false;
        }
    }
    return true;
}

static bool counters_agree(const struct cmaes *s)
{
    return s->stream != 0 && s->generation <= s->round && s->decomposed <= s->generation &&
           s->best_generation <= s->generation && s->anchor_generation <= s->generation &&
           s->flat <= s->round && s->stops >> CMAES_RULES == 0 &&
           s->round < UINT64_MAX / 2 / (s->lambda * s->n);
}

static bool limits_are_numbers(const struct cmaes_limits *l)
{
    return !isnan(l->f_target) && !isnan(l->x) && !isnan(l->f) && !isnan(l->f_history) &&
           !isnan(l->x_up) && !isnan(l->sigma_up) && !isnan(l->condition) &&
           !isnan(l->x_stagnation);
}

/* What a search that stopped with "numeric" can have at most, so that sampling still gives finite
 * points. */
#define VALUE_MAX 1e200

static bool distribution_is_sound(const struct cmaes *s)
{
    const size_t n = s->n;
    const double least = 5e-324; /* the smallest positive double */

    for (size_t j = 0; j < n; j++) {
        const double *row = s->covariance + j * n;
        bool full = s->model != CMAES_SEPARABLE;
        double reach = s->sigma * s->scales[j] * s->lengths[n - 1] * 100.0 * (double)n * (double)n;

        if (!bounds_are_usable(s->lower[j], s->upper[j]) || !(reach <= VALUE_MAX) ||
            (full && !all_within(row, j, -VALUE_MAX, VALUE_MAX)) ||
            (full && !all_within(row + j, 1, least, VALUE_MAX)) ||
            (j > 0 && s->lengths[j] < s->lengths[j - 1])) {
            return false;
        }
    }
    return all_within(&s->sigma_start, 1, least, VALUE_MAX) &&
           all_within(&s->sigma, 1, least, VALUE_MAX) &&
           all_within(s->scales_start, n, least, VALUE_MAX) &&
           all_within(s->scales, n, least, VALUE_MAX) &&
           all_within(s->lengths, n, least, VALUE_MAX) &&
           (s->model == CMAES_SEPARABLE || all_within(s->axes, n * n, -1.001, 1.001)) &&
           all_within(s->mean, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->anchor, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->p_c, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->p_sigma, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->best_point, n, -VALUE_MAX, VALUE_MAX) && !isnan(s->best);
}

static bool rate_is_sound(const struct cmaes_rate *rate, size_t n)
{
    return rate->eta > 0.0 && rate->eta <= 1.0 && rate->W >= 0.0 && rate->W <= VALUE_MAX &&
           all_within(rate->E, n, -1e100, 1e100);
}

static bool extras_are_sound(const struct cmaes *s)
{
    const double least = 5e-324;

    for (size_t j = 0; s->mixed && j < s->n; j++) {
        if (s->steps[j] != 0.0 && !bounds_take_step(s->steps[j], s->lower[j], s->upper[j])) {
            return false;
        }
    }
    if (s->rates != NULL && !(rate_is_sound(&s->rates->mean, s->n) &&
                              rate_is_sound(&s->rates->covariance, s->n * s->n))) {
        return false;
    }
    return (!s->mixed ||
            (s->margin > 0.0 && s->margin < 0.5 && all_within(s->spreads, s->n, least, VALUE_MAX) &&
             all_within(s->mutation, s->n, 0.0, 1.0))) &&
           (s->model != CMAES_ACCELERATED || all_within(s->p_d, s->n, -VALUE_MAX, VALUE_MAX)) &&
           all_within(s->injected, (size_t)s->foreign * s->n, -1e100, 1e100);
}

/* The fixed head; sizes are checked before anything is allocated. */
static int read_header(struct cmaes **out, const unsigned char *bytes, size_t size, struct err *err)
{
    if (size < HEADER_BYTES || memcmp(bytes, magic, sizeof magic) != 0) {
        return err_set(err, ERR_FORMAT, "optimiser state: not a CMA-ES of this version");
    }
    uint64_t n = get(bytes + 8), lambda = get(bytes + 16), kind = get(bytes + 24);
    uint64_t foreign = kind >> 32, model = kind & (SEPARABLE | ACCELERATED);

    if (n < 1 || n > CMAES_N_MAX || lambda < 2 || lambda > CMAES_LAMBDA_MAX ||
        (kind & UINT32_MAX) > KINDS || model == (SEPARABLE | ACCELERATED) || foreign > lambda / 2 ||
        ((kind & (MIXED | ADAPTIVE)) != 0 && model == ACCELERATED) ||
        ((kind & ADAPTIVE) != 0 && (kind & (MIXED | SEPARABLE)) != 0)) {
        return err_set(err, ERR_FORMAT, "optimiser state: %llu coordinates, %llu candidates",
                       (unsigned long long)n, (unsigned long long)lambda);
    }
    if (size / 8 < (model == SEPARABLE
                        ? n
                        : n * n)) { /* too short whatever the rest says: do not allocate for it */
        return err_set(err, ERR_FORMAT, "optimiser state: %zu bytes are too few", size);
    }
    const struct cmaes_shape shape = {.n = (size_t)n,
                                      .lambda = (size_t)lambda,
                                      .model = model == SEPARABLE     ? CMAES_SEPARABLE
                                               : model == ACCELERATED ? CMAES_ACCELERATED
                                                                      : CMAES_FULL,
                                      .passive = (kind & PASSIVE) != 0,
                                      .mixed = (kind & MIXED) != 0,
                                      .adaptive = (kind & ADAPTIVE) != 0};
    int rc = cmaes_allocate(out, &shape, err);

    if (rc == 0) {
        (*out)->foreign = foreign;
    }
    return rc;
}

int cmaes_restore(struct cmaes **out, const unsigned char *bytes, size_t n, struct err *err)
{
    struct cmaes *s = NULL;
    struct field fields[FIELDS];
    const unsigned char *at = bytes + HEADER_BYTES;

    int rc = read_header(&s, bytes, n, err);
    if (rc != 0) {
        goto out;
    }
    assert(s != NULL);
    if (n != state_bytes(s)) {
        rc = err_set(err, ERR_FORMAT, "optimiser state: %zu bytes where %zu belong", n,
                     state_bytes(s));
        goto out;
    }
    size_t count = state_fields(s, fields);

    for (size_t i = 0; i < count && at != NULL; i++) {
        at = get_field(at, &fields[i]);
    }
    if (at == NULL || !counters_agree(s) || !limits_are_numbers(&s->limits) ||
        !distribution_is_sound(s) || !extras_are_sound(s)) {
        rc = err_set(err, ERR_FORMAT, "optimiser state: values that no search can have");
        goto out;
    }
    *out = s;
    s = NULL;

out:
    cmaes_free(s);
    return rc;
}
