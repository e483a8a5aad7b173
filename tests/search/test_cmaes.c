#include "search/cmaes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/rng.h"
#include "search/cmaes_constants.h"
#include "search/cmaes_internal.h"
#include "tests/support/objectives.h"

#define assert_near(a, b, relative) assert_double_near((a), (b), (relative), __LINE__)

static void assert_double_near(double value, double expected, double relative, int line)
{
    if (!(fabs(value - expected) <= relative * fmax(fabs(expected), 1e-6))) {
        fail_msg("line %d: %.17g, expected %.17g", line, value, expected);
    }
}

/* ---- small helpers ---- */

struct setup {
    size_t n, lambda;
    double start, sigma;
    uint64_t seed;
};

static struct cmaes *make(struct setup setup)
{
    double *start = mem_array(setup.n, sizeof *start);
    struct cmaes *made = NULL;
    struct cmaes_options options = {.n = setup.n,
                                    .start = start,
                                    .sigma = setup.sigma,
                                    .lambda = setup.lambda,
                                    .seed = setup.seed};

    for (size_t j = 0; j < setup.n; j++) {
        start[j] = setup.start;
    }
    assert_int_equal(cmaes_new(&made, &options, NULL), 0);
    free(start);
    return made;
}

static double *ask(struct cmaes *s)
{
    double *points = mem_array(cmaes_lambda(s) * cmaes_n(s), sizeof *points);

    cmaes_ask(s, points);
    return points;
}

/* One generation on f; f_first and f_best are optional. */
static void step(struct cmaes *s, objective *f, double *f_first, double *f_best)
{
    const size_t n = cmaes_n(s), lambda = cmaes_lambda(s);
    double *points = ask(s);
    double *fitness = mem_array(lambda, sizeof *fitness);
    double best = HUGE_VAL;

    for (size_t k = 0; k < lambda; k++) {
        fitness[k] = f(points + k * n, n);
        best = fmin(best, fitness[k]);
    }
    if (f_first != NULL) {
        *f_first = fitness[0];
        *f_best = best;
    }
    assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
    free(points);
    free(fitness);
}

static double constant_objective(const double *x, size_t n)
{
    (void)x;
    (void)n;
    return 3.0;
}

static void assert_same_bits(const double *a, const double *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof *a);
}

static void assert_same_state(const struct cmaes *a, const struct cmaes *b)
{
    unsigned char *left = NULL, *right = NULL;
    size_t left_n = 0, right_n = 0;

    cmaes_save(a, &left, &left_n);
    cmaes_save(b, &right, &right_n);
    assert_int_equal(left_n, right_n);
    assert_memory_equal(left, right, left_n);
    free(left);
    free(right);
}

static struct cmaes *copy(const struct cmaes *s)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    struct cmaes *made = NULL;

    cmaes_save(s, &bytes, &n);
    assert_int_equal(cmaes_restore(&made, bytes, n, NULL), 0);
    free(bytes);
    return made;
}

/* ---- golden ---- */

static json_t *golden(void)
{
    json_t *doc = NULL;
    struct err err = {0};

    if (doc_load(&doc, TESTS_DIR "/golden/cmaes/cmaes_golden.json", 1 << 20, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return doc;
}

static double number(const json_t *object, const char *key)
{
    double value = (double)NAN;

    assert_int_equal(doc_number(object, key, &value, NULL), 0);
    return value;
}

static void default_parameters_equal_the_reference(void **state)
{
    (void)state;
    json_t *doc = golden();
    json_t *row;
    size_t index;

    json_array_foreach(json_object_get(doc, "default_parameters"), index, row)
    {
        size_t n = (size_t)number(row, "n");
        size_t lambda = cmaes_lambda_default(n);
        struct cmaes_constants c;
        json_t *weight;
        size_t i;

        assert_int_equal(lambda, (size_t)number(row, "lam"));
        cmaes_constants_init(&c, n, lambda, false);
        assert_int_equal(c.mu, (size_t)number(row, "mu"));
        assert_near(c.mu_eff, number(row, "mueff"), 1e-13);
        assert_near(c.mu_eff_minus, number(row, "mueff_minus"), 1e-13);
        assert_near(c.c_1, number(row, "c1"), 1e-13);
        assert_near(c.c_mu, number(row, "cmu"), 1e-13);
        assert_near(c.c_c, number(row, "cc"), 1e-13);
        assert_near(c.c_sigma, number(row, "cs"), 1e-13);
        assert_near(c.d_sigma, number(row, "ds"), 1e-13);
        assert_near(c.chi, number(row, "chiN_approx"), 1e-13);
        assert_near(c.gap, number(row, "eigen_gap_generations"), 1e-13);
        assert_near(c.weight_sum, number(row, "sum_w"), 1e-12);
        json_array_foreach(json_object_get(row, "weights"), i, weight)
        {
            assert_near(c.weights[i], json_number_value(weight), 1e-12);
        }
        assert_int_equal(i, lambda);
        cmaes_constants_release(&c);
    }
    assert_int_equal(index, 9);
    json_decref(doc);
}

/* Array `key` of row against values with a stride; null means not recorded. */
static void assert_array(const json_t *row, const char *key, const double *values, size_t stride,
                         double tolerance)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(row, key), i, entry)
    {
        assert_near(values[i * stride], json_number_value(entry), tolerance);
    }
    assert_true(i > 0);
}

static void compare_generation(const struct cmaes *s, const json_t *row, double f_first,
                               double f_best)
{
    double tolerance = number(row, "g") <= 10.0 ? 1e-9 : 1e-6;
    json_t *line;
    size_t i;

    assert_near(f_first, number(row, "f_first"), tolerance);
    assert_near(f_best, number(row, "f_best"), tolerance);
    assert_near(cmaes_sigma(s), number(row, "sigma"), tolerance);
    assert_array(row, "mean", s->mean, 1, tolerance);
    assert_array(row, "pc", s->p_c, 1, tolerance);
    assert_array(row, "ps", s->p_sigma, 1, tolerance);
    assert_array(row, "diagC", s->covariance, s->n + 1, tolerance);
    json_array_foreach(json_object_get(row, "C"), i, line)
    {
        for (size_t j = 0; j <= i; j++) {
            assert_near(s->covariance[i * s->n + j], json_number_value(json_array_get(line, j)),
                        tolerance);
        }
    }
}

static void run_golden_case(const json_t *row)
{
    size_t n = (size_t)number(row, "n");
    double start[16];
    struct cmaes *s = NULL;
    struct cmaes_options options = {.n = n,
                                    .start = start,
                                    .sigma = number(row, "sigma0"),
                                    .seed = (uint64_t)number(row, "initstate"),
                                    .stream = (uint64_t)number(row, "initseq")};
    const json_t *first = json_object_get(row, "x_first_generation");
    json_t *expected;
    size_t index;

    for (size_t j = 0; j < n; j++) {
        start[j] = number(row, "x0");
    }
    assert_int_equal(cmaes_new(&s, &options, NULL), 0);
    assert_int_equal(cmaes_lambda(s), (size_t)number(row, "lam"));

    double *points = ask(s);

    for (size_t i = 0; i < json_array_size(first) * n; i++) {
        assert_near(points[i],
                    json_number_value(json_array_get(json_array_get(first, i / n), i % n)), 1e-13);
    }
    free(points);
    json_array_foreach(json_object_get(row, "gens"), index, expected)
    {
        double f_first = (double)NAN, f_best = (double)NAN;

        while (cmaes_generation(s) < (uint64_t)number(expected, "g")) {
            step(s, objective_named(json_string_value(json_object_get(row, "f"))), &f_first,
                 &f_best);
        }
        compare_generation(s, expected, f_first, f_best);
    }
    cmaes_free(s);
}

static void trajectories_equal_the_reference(void **state)
{
    (void)state;
    json_t *doc = golden();
    json_t *row;
    size_t index;

    json_array_foreach(json_object_get(doc, "cases"), index, row)
    {
        run_golden_case(row);
    }
    assert_int_equal(index, 4);
    json_decref(doc);
}

/* ---- what a candidate depends on ---- */

static void asking_twice_gives_the_same_bits(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 7, .start = 1.0, .sigma = 0.5, .seed = 3});
    double *first = ask(s);
    double *second = ask(s);

    assert_same_bits(first, second, 7 * cmaes_lambda(s));
    free(first);
    free(second);
    cmaes_free(s);
}

static void resumes_after_every_generation_with_the_same_bits(void **state)
{
    (void)state;
    static const struct setup setups[] = {{.n = 1, .start = 1.0, .sigma = 0.5, .seed = 1},
                                          {.n = 5, .start = 3.0, .sigma = 2.0, .seed = 2},
                                          {.n = 24, .start = 3.0, .sigma = 2.0, .seed = 3},
                                          {.n = 100, .start = 3.0, .sigma = 2.0, .seed = 4}};

    for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
        struct cmaes *straight = make(setups[i]);
        struct cmaes *resumed = make(setups[i]);

        for (size_t g = 0; g < 30; g++) {
            double *points = ask(straight);
            struct cmaes *fresh = copy(resumed);

            cmaes_free(resumed);
            resumed = fresh;
            double *again = ask(resumed);

            assert_same_bits(points, again, cmaes_n(straight) * cmaes_lambda(straight));
            free(points);
            free(again);
            step(straight, objective_ellipsoid, NULL, NULL);
            fresh = copy(resumed); /* between ask and tell, too */
            cmaes_free(resumed);
            resumed = fresh;
            step(resumed, objective_ellipsoid, NULL, NULL);
            assert_same_state(straight, resumed);
        }
        cmaes_free(straight);
        cmaes_free(resumed);
    }
}

static double exp_of_sphere(const double *x, size_t n)
{
    return exp(objective_sphere(x, n));
}

static void only_the_order_of_fitness_matters(void **state)
{
    (void)state;
    struct setup setup = {.n = 6, .start = 1.0, .sigma = 0.5, .seed = 11};
    struct cmaes *plain = make(setup);
    struct cmaes *bent = make(setup);

    for (int g = 0; g < 60; g++) {
        double *a = ask(plain), *b = ask(bent);

        assert_same_bits(a, b, 6 * cmaes_lambda(plain));
        free(a);
        free(b);
        step(plain, objective_sphere, NULL, NULL);
        step(bent, exp_of_sphere, NULL, NULL);
    }
    cmaes_free(plain);
    cmaes_free(bent);
}

static double shifted_sphere(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) {
        sum += (x[j] - 64.0) * (x[j] - 64.0);
    }
    return sum;
}

static void a_shifted_problem_is_searched_alike(void **state)
{
    (void)state;
    struct cmaes *here = make((struct setup){.n = 5, .start = 2.0, .sigma = 1.0, .seed = 5});
    struct cmaes *there = make((struct setup){.n = 5, .start = 66.0, .sigma = 1.0, .seed = 5});

    for (int g = 0; g < 25; g++) {
        step(here, objective_sphere, NULL, NULL);
        step(there, shifted_sphere, NULL, NULL);
        assert_near(cmaes_sigma(there), cmaes_sigma(here), 1e-8);
        for (size_t j = 0; j < 5; j++) {
            assert_near(there->mean[j] - 64.0 + 1.0, here->mean[j] + 1.0, 1e-8);
        }
    }
    cmaes_free(here);
    cmaes_free(there);
}

/* A rotation of the plane of coordinates 0 and 1, and of 2 and 3. */
static void turn(double *out, const double *x)
{
    const double c = cos(0.7), s = sin(0.7);

    out[0] = c * x[0] - s * x[1];
    out[1] = s * x[0] + c * x[1];
    out[2] = c * x[2] - s * x[3];
    out[3] = s * x[2] + c * x[3];
}

/*
 * Rank the same z-samples by the rotated problem's values: with start and samples rotated alike,
 * the trajectory of f is the same. The state is turned once: the mean, and axes that turn the
 * samples.
 */
static void a_turned_problem_is_searched_alike(void **state)
{
    (void)state;
    struct setup setup = {.n = 4, .start = 1.0, .sigma = 0.5, .seed = 8};
    struct cmaes *plain = make(setup);
    struct cmaes *turned = make(setup);
    double turned_mean[4];

    turn(turned_mean, plain->mean);
    memcpy(turned->mean, turned_mean, sizeof turned_mean);
    for (int g = 0; g < 40; g++) {
        double *points = ask(plain);
        double fitness[8];

        cmaes_ask(turned, points); /* then its samples are exchanged for turned ones */
        cmaes_ask(plain, points);
        for (size_t k = 0; k < cmaes_lambda(plain); k++) {
            fitness[k] = objective_ellipsoid(points + 4 * k, 4);
            turn(turned->z + 4 * k, plain->z + 4 * k);
            turn(turned->y + 4 * k, plain->y + 4 * k);
        }
        assert_int_equal(cmaes_tell(plain, fitness, NULL), 0);
        assert_int_equal(cmaes_tell(turned, fitness, NULL), 0);
        turn(turned_mean, plain->mean);
        assert_near(cmaes_sigma(turned), cmaes_sigma(plain), 1e-7);
        assert_near(cmaes_condition(turned), cmaes_condition(plain), 1e-7);
        for (size_t j = 0; j < 4; j++) {
            assert_near(turned->mean[j] + 1.0, turned_mean[j] + 1.0, 1e-7);
        }
        free(points);
    }
    cmaes_free(plain);
    cmaes_free(turned);
}

/* ---- finding minima, and knowing when to stop ---- */

static void minimises(objective *f, struct setup setup, double below)
{
    struct cmaes *s = make(setup);

    while (cmaes_stop(s) == NULL) {
        step(s, f, NULL, NULL);
    }
    if (!(cmaes_best(s, NULL) < below)) {
        fail_msg("n %zu lambda %zu: %g, stopped by %s", setup.n, setup.lambda, cmaes_best(s, NULL),
                 cmaes_stop(s));
    }
    cmaes_free(s);
}

static void finds_minima_in_one_to_forty_dimensions(void **state)
{
    (void)state;
    minimises(objective_sphere, (struct setup){.n = 1, .start = 3.0, .sigma = 2.0, .seed = 1},
              1e-10);
    minimises(objective_ellipsoid, (struct setup){.n = 2, .start = 3.0, .sigma = 2.0, .seed = 1},
              1e-10);
    minimises(objective_rosenbrock, (struct setup){.n = 10, .start = 0.0, .sigma = 0.1, .seed = 1},
              1e-10);
    minimises(objective_cigar, (struct setup){.n = 20, .start = 3.0, .sigma = 2.0, .seed = 1},
              1e-10);
    minimises(objective_ellipsoid, (struct setup){.n = 21, .start = 3.0, .sigma = 2.0, .seed = 1},
              1e-10);
    minimises(objective_sphere, (struct setup){.n = 40, .start = 3.0, .sigma = 2.0, .seed = 1},
              1e-10);
}

static void works_with_any_population(void **state)
{
    (void)state;
    for (size_t lambda = 2; lambda <= 6; lambda++) {
        minimises(objective_sphere,
                  (struct setup){.n = 3, .lambda = lambda, .start = 3.0, .sigma = 2.0, .seed = 9},
                  1e-8);
    }
    minimises(objective_sphere,
              (struct setup){.n = 3, .lambda = 1000, .start = 3.0, .sigma = 2.0, .seed = 9}, 1e-8);
}

static void a_constant_objective_stops_as_flat(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 4, .start = 0.0, .sigma = 1.0, .seed = 1});

    step(s, constant_objective, NULL, NULL);
    assert_null(cmaes_stop(s));
    step(s, constant_objective, NULL, NULL);
    assert_string_equal(cmaes_stop(s), "tolflatfitness");
    cmaes_free(s);
}

static void a_tiny_sigma_stops_because_steps_have_no_effect(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 4, .start = 1.0, .sigma = 1e-300, .seed = 1});

    step(s, objective_sphere, NULL, NULL);
    assert_true(cmaes_stops(s) >> CMAES_NOEFFECTCOORD & 1);
    assert_true(cmaes_stops(s) >> CMAES_NOEFFECTAXIS & 1);
    cmaes_free(s);
}

static void a_tiny_sigma_around_zero_is_searched_like_any_other(void **state)
{
    (void)state;
    struct cmaes *tiny = make((struct setup){.n = 4, .start = 0.0, .sigma = 0x1p-996, .seed = 1});
    struct cmaes *plain = make((struct setup){.n = 4, .start = 0.0, .sigma = 1.0, .seed = 1});
    double fitness[8];

    for (int g = 0; g < 40; g++) {
        double *points = ask(plain);

        for (size_t k = 0; k < 8; k++) {
            fitness[k] = objective_rosenbrock(points + 4 * k, 4);
        }
        free(points);
        assert_int_equal(cmaes_tell(plain, fitness, NULL), 0);
        assert_int_equal(cmaes_tell(tiny, fitness, NULL), 0);
        for (size_t j = 0; j < 4; j++) {
            assert_true(ldexp(tiny->mean[j], 996) == plain->mean[j]);
        }
    }
    cmaes_free(tiny);
    cmaes_free(plain);
}

static void numbers_that_run_away_stop_the_search(void **state)
{
    (void)state;
    struct cmaes_limits limits;
    double start[2] = {1e149, 1e149};
    struct cmaes *s = NULL;
    struct err err = {0};

    cmaes_limits_init(&limits);
    limits.x_up = limits.sigma_up = HUGE_VAL;
    struct cmaes_options options = {
        .n = 2, .start = start, .sigma = 1e146, .seed = 1, .limits = &limits};

    assert_int_equal(cmaes_new(&s, &options, NULL), 0);
    for (int g = 0; g < 500 && cmaes_stop(s) == NULL; g++) {
        double *points = ask(s);
        double fitness[6];

        for (size_t k = 0; k < 6; k++) {
            assert_true(isfinite(points[2 * k]));
            fitness[k] = -points[2 * k];
        }
        free(points);
        assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
    }
    assert_string_equal(cmaes_stop(s), "numeric");
    const double fitness[6] = {0};

    assert_int_equal(cmaes_tell(s, fitness, &err), ERR_NUMERIC);
    cmaes_free(copy(s)); /* it can still be stored */
    cmaes_free(s);
}

static void sizes_beyond_all_reason_are_refused(void **state)
{
    (void)state;
    double start[2] = {0.0, 0.0};
    struct cmaes *s = NULL;
    struct cmaes_options options = {.n = 2, .start = start, .sigma = 1e300};

    assert_int_equal(cmaes_new(&s, &options, NULL), ERR_LIMIT);
    options.sigma = (double)NAN;
    assert_int_equal(cmaes_new(&s, &options, NULL), ERR_LIMIT);
    options.sigma = 1.0;
    options.lambda = 1;
    assert_int_equal(cmaes_new(&s, &options, NULL), ERR_LIMIT);
    options.lambda = 0;
    start[1] = HUGE_VAL;
    assert_int_equal(cmaes_new(&s, &options, NULL), ERR_LIMIT);
    start[1] = 0.0;
    options.n = 0;
    assert_int_equal(cmaes_new(&s, &options, NULL), ERR_LIMIT);
    assert_null(s);
}

/* Coordinates from 2^-100 to 2^100: with the scales as deviations it is the plain problem, bit for
 * bit. */
static void sixty_decades_of_scaling_change_nothing(void **state)
{
    (void)state;
    const int powers[4] = {-100, -33, 33, 100};
    double start[4], deviations[4];
    struct cmaes *plain = make((struct setup){.n = 4, .start = 1.0, .sigma = 0.5, .seed = 21});
    struct cmaes *scaled = NULL;
    struct cmaes_options options = {
        .n = 4, .start = start, .sigma = 0.5, .deviations = deviations, .seed = 21};

    for (size_t j = 0; j < 4; j++) {
        start[j] = deviations[j] = ldexp(1.0, powers[j]);
    }
    assert_int_equal(cmaes_new(&scaled, &options, NULL), 0);
    while (cmaes_stop(plain) == NULL) {
        double *a = ask(plain), *b = ask(scaled);
        double fitness[8];

        for (size_t k = 0; k < 8; k++) {
            for (size_t j = 0; j < 4; j++) {
                assert_true(b[4 * k + j] == ldexp(a[4 * k + j], powers[j]));
            }
            fitness[k] = objective_sphere(a + 4 * k, 4);
        }
        free(a);
        free(b);
        assert_int_equal(cmaes_tell(plain, fitness, NULL), 0);
        assert_int_equal(cmaes_tell(scaled, fitness, NULL), 0);
        assert_int_equal(cmaes_stops(plain), cmaes_stops(scaled));
    }
    cmaes_free(plain);
    cmaes_free(scaled);
}

/* Two coordinates whose best sizes differ by 1e6: the covariance's condition would be 1e12. */
static double lopsided(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) {
        double size = j % 2 == 0 ? 1.0 : 1e6;

        sum += size * size * x[j] * x[j];
    }
    return sum;
}

static void scales_move_out_of_the_covariance(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 6, .start = 3.0, .sigma = 2.0, .seed = 2});
    double before = 0.0;
    bool moved = false;

    while (cmaes_stop(s) == NULL) {
        step(s, lopsided, NULL, NULL);
        moved = moved || s->scales[1] != 1.0;
        before = fmax(before, cmaes_condition(s));
    }
    assert_true(moved);
    assert_true(before < 1e12);
    assert_true(cmaes_best(s, NULL) < 1e-10);
    cmaes_free(s);
}

/* ---- failing candidates ---- */

static void failed_candidates_rank_last_and_the_search_goes_on(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 5, .start = 3.0, .sigma = 2.0, .seed = 4});
    struct rng32 rng;
    double fitness[8];

    rng32_seed(&rng, 1, 1);
    for (int g = 0; g < 400 && cmaes_best(s, NULL) > 1e-8; g++) {
        double *points = ask(s);

        for (size_t k = 0; k < 8; k++) {
            uint32_t fate = rng32_below(&rng, 20);

            fitness[k] = fate > 1    ? objective_sphere(points + 5 * k, 5)
                         : fate == 1 ? HUGE_VAL
                                     : (double)NAN;
        }
        free(points);
        assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
    }
    assert_true(cmaes_best(s, NULL) < 1e-8);
    cmaes_free(s);
}

static void a_generation_of_failures_is_drawn_anew(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 4, .start = 1.0, .sigma = 1.0, .seed = 4});
    double *before = ask(s);
    const double none = (double)NAN;
    const double lost[8] = {none, none, none, none, none, HUGE_VAL, 1.0, 2.0};

    assert_int_equal(cmaes_tell(s, lost, NULL), 0);
    double *after = ask(s);

    assert_int_equal(cmaes_generation(s), 0);
    assert_true(cmaes_sigma(s) == 1.0);
    assert_true(memcmp(before, after, 32 * sizeof *before) != 0);
    assert_true(cmaes_best(s, NULL) == 1.0);
    free(before);
    free(after);
    cmaes_free(s);
}

static void ties_rank_by_index_and_failures_after_infinity(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 4, .start = 1.0, .sigma = 1.0, .seed = 4});
    const double fitness[8] = {(double)NAN, 2.0, HUGE_VAL, 1.0, 2.0, (double)NAN, 0.5, 2.0};
    const size_t order[8] = {6, 3, 1, 4, 7, 2, 0, 5};

    assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(s->order[i].index, order[i]);
    }
    cmaes_free(s);
}

static void minus_infinity_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 4, .start = 1.0, .sigma = 1.0, .seed = 4});
    struct cmaes *before = copy(s);
    const double fitness[8] = {1, 2, 3, -HUGE_VAL, 4, 5, 6, 7};

    assert_int_equal(cmaes_tell(s, fitness, NULL), ERR_NUMERIC);
    assert_same_state(s, before);
    cmaes_free(s);
    cmaes_free(before);
}

/* ---- bounds ---- */

static double distance_to_corner(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j < n;
         j++) { /* the minimum is outside the box: the corner (1, 1, ..) is best */
        sum += (x[j] - 1.5) * (x[j] - 1.5);
    }
    return sum;
}

static void stays_in_the_box_and_reaches_its_corner(void **state)
{
    (void)state;
    const double start[4] = {0.5, 0.5, 0.5, 0.5};
    const double lower[4] = {0, 0, 0, 0}, upper[4] = {1, 1, 1, 1};
    struct cmaes *s = NULL;
    struct cmaes_options options = {
        .n = 4, .start = start, .sigma = 0.25, .seed = 3, .lower = lower, .upper = upper};
    double mean[4];

    assert_int_equal(cmaes_new(&s, &options, NULL), 0);
    for (int g = 0; g < 100; g++) {
        double *points = ask(s);

        for (size_t i = 0; i < 32; i++) {
            assert_true(points[i] >= 0.0 && points[i] <= 1.0);
        }
        free(points);
        step(s, distance_to_corner, NULL, NULL);
    }
    cmaes_mean(s, mean);
    for (size_t j = 0; j < 4; j++) {
        assert_true(mean[j] > 0.999);
    }
    cmaes_free(s);
}

static void deviations_stay_within_a_third_of_the_box(void **state)
{
    (void)state;
    const double start[3] = {0.5, 0.5, 0.5};
    const double lower[3] = {0, -HUGE_VAL, 0}, upper[3] = {1, 1, HUGE_VAL};
    struct cmaes *s = NULL;
    struct cmaes_options options = {
        .n = 3, .start = start, .sigma = 0.9, .seed = 3, .lower = lower, .upper = upper};
    double out[3];

    assert_int_equal(cmaes_new(&s, &options, NULL), 0);
    for (int g = 0; g < 60; g++) {
        cmaes_deviations(s, out);
        assert_true(out[0] <= 1.0 / 3.0 * (1.0 + 1e-12));
        double *points = ask(s);
        double fitness[7];

        for (size_t k = 0; k < 7;
             k++) { /* the first coordinate does not matter, the last two run away */
            assert_true(points[3 * k + 1] <= 1.0 && points[3 * k + 2] >= 0.0);
            fitness[k] = points[3 * k + 1] - points[3 * k + 2];
        }
        free(points);
        assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
    }
    cmaes_free(s);
}

/* ---- bytes ---- */

static void hostile_bytes_are_refused(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 3, .start = 1.0, .sigma = 1.0, .seed = 4});
    struct cmaes *made = NULL;
    unsigned char *bytes = NULL;
    size_t n = 0;

    step(s, objective_sphere, NULL, NULL);
    cmaes_save(s, &bytes, &n);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(cmaes_restore(&made, bytes, cut, NULL), ERR_FORMAT);
    }
    for (size_t at = 0; at < n; at += 8) { /* every value becomes NaN, or a counter beyond reason */
        unsigned char kept[8];

        memcpy(kept, bytes + at, 8);
        memset(bytes + at, 0xff, 8);
        int rc = cmaes_restore(&made, bytes, n, NULL);

        memcpy(bytes + at, kept, 8);
        if (rc == 0) { /* the seed, a limit or a history may be anything */
            double *points = ask(made);

            step(made, objective_sphere, NULL, NULL);
            free(points);
            cmaes_free(made);
            made = NULL;
        } else {
            assert_int_equal(rc, ERR_FORMAT);
        }
    }
    assert_null(made);
    free(bytes);
    cmaes_free(s);
}

static void changed_bytes_never_give_points_that_are_not_finite(void **state)
{
    (void)state;
    struct cmaes *s = make((struct setup){.n = 3, .start = 1.0, .sigma = 1.0, .seed = 4});
    unsigned char *bytes = NULL;
    size_t n = 0;
    struct rng32 rng;

    step(s, objective_sphere, NULL, NULL);
    cmaes_save(s, &bytes, &n);
    rng32_seed(&rng, 5, 5);
    for (int trial = 0; trial < 3000; trial++) {
        size_t at = 24 + rng32_below(&rng, (uint32_t)(n - 24));
        unsigned char kept = bytes[at];
        struct cmaes *made = NULL;

        bytes[at] = (unsigned char)rng32_next(&rng);
        if (cmaes_restore(&made, bytes, n, NULL) == 0) {
            double *points = ask(made);

            for (size_t i = 0; i < 21; i++) {
                assert_true(isfinite(points[i]));
            }
            (void)cmaes_tell(made, points, NULL); /* the changed bit may be the one that stops it */
            free(points);
            cmaes_free(made);
        }
        bytes[at] = kept;
    }
    free(bytes);
    cmaes_free(s);
}

/* ---- no drift ---- */

/*
 * On random fitness nothing may be learned: ln sigma is a random walk without drift. 30 runs of 300
 * generations; the mean stays within three standard errors of zero, and trace(C) / n near 1.
 */
static void nothing_is_learned_from_noise(void **state)
{
    (void)state;
    const size_t n = 10, runs = 60;
    double sum = 0.0, squares = 0.0, trace = 0.0;
    struct cmaes_limits limits;
    double start[10] = {0};

    cmaes_limits_init(&limits);
    limits.x_up = HUGE_VAL;
    for (uint64_t seed = 1; seed <= runs; seed++) {
        struct cmaes *s = NULL;
        struct cmaes_options options = {
            .n = n, .start = start, .sigma = 1.0, .seed = seed, .limits = &limits};
        struct rng64 noise;
        double fitness[10];

        assert_int_equal(cmaes_new(&s, &options, NULL), 0);
        rng64_seed(&noise, seed + 1000, RNG_NOISE);
        for (int g = 0; g < 300; g++) {
            for (size_t k = 0; k < 10; k++) {
                fitness[k] = rng64_uniform(&noise);
            }
            assert_int_equal(cmaes_tell(s, fitness, NULL), 0);
        }
        double drift = log(cmaes_sigma(s));

        sum += drift;
        squares += drift * drift;
        for (size_t j = 0; j < n; j++) {
            trace += s->covariance[j * n + j] / (double)(n * runs);
        }
        cmaes_free(s);
    }
    double mean = sum / (double)runs;
    double deviation =
        sqrt((squares / (double)runs - mean * mean) * (double)runs / (double)(runs - 1));

    assert_true(fabs(mean) < 3.0 * deviation / sqrt((double)runs));
    assert_true(deviation > 1.0 && deviation < 2.4);
    assert_true(trace > 0.6 && trace < 1.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_parameters_equal_the_reference),
        cmocka_unit_test(trajectories_equal_the_reference),
        cmocka_unit_test(asking_twice_gives_the_same_bits),
        cmocka_unit_test(resumes_after_every_generation_with_the_same_bits),
        cmocka_unit_test(only_the_order_of_fitness_matters),
        cmocka_unit_test(a_shifted_problem_is_searched_alike),
        cmocka_unit_test(a_turned_problem_is_searched_alike),
        cmocka_unit_test(finds_minima_in_one_to_forty_dimensions),
        cmocka_unit_test(works_with_any_population),
        cmocka_unit_test(a_constant_objective_stops_as_flat),
        cmocka_unit_test(a_tiny_sigma_stops_because_steps_have_no_effect),
        cmocka_unit_test(a_tiny_sigma_around_zero_is_searched_like_any_other),
        cmocka_unit_test(numbers_that_run_away_stop_the_search),
        cmocka_unit_test(sizes_beyond_all_reason_are_refused),
        cmocka_unit_test(sixty_decades_of_scaling_change_nothing),
        cmocka_unit_test(scales_move_out_of_the_covariance),
        cmocka_unit_test(failed_candidates_rank_last_and_the_search_goes_on),
        cmocka_unit_test(a_generation_of_failures_is_drawn_anew),
        cmocka_unit_test(ties_rank_by_index_and_failures_after_infinity),
        cmocka_unit_test(minus_infinity_is_refused_and_changes_nothing),
        cmocka_unit_test(stays_in_the_box_and_reaches_its_corner),
        cmocka_unit_test(deviations_stay_within_a_third_of_the_box),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(changed_bytes_never_give_points_that_are_not_finite),
        cmocka_unit_test(nothing_is_learned_from_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
