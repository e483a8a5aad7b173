#include "search/optimiser.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/pareto.h"
#include "tests/support/objectives.h"

#define N_MAX 12

/* Every optimiser that the door can make, with what stands around it. */
static const struct row {
    const char *algorithm, *restarts, *noise;
    bool integers; /* the last half of the coordinates */
    size_t objectives, n, generations;
} rows[] = {
    {"cma-es", NULL, NULL, false, 1, 5, 40},
    {"cma-es", NULL, NULL, true, 1, 6, 60},
    {"cma-es", "ipop", NULL, false, 1, 2, 200},
    {"cma-es", "bipop", NULL, false, 1, 2, 300},
    {"cma-es", "ipop", NULL, true, 1, 4, 150},
    {"sep-cma-es", NULL, NULL, false, 1, 8, 40},
    {"sep-cma-es", NULL, NULL, true, 1, 6, 60},
    {"sep-cma-es", "bipop", NULL, false, 1, 3, 200},
    {"dd-cma-es", NULL, NULL, false, 1, 8, 60},
    {"dd-cma-es", "ipop", NULL, false, 1, 3, 200},
    {"catcma", NULL, NULL, true, 1, 6, 60},
    {"catcma", "ipop", NULL, true, 1, 6, 60},
    {"lq-cma-es", NULL, NULL, false, 1, 3, 150},
    {"lq-cma-es", "ipop", NULL, false, 1, 2, 300},
    {"catcma", NULL, NULL, false, 1, 3, 30},
    {"catcma", NULL, NULL, true, 1, 2, 60},
    {"cma-es", NULL, "adapt", false, 1, 4, 60},
    {"cma-es", NULL, "reevaluate", false, 1, 4, 40},
    {"sep-cma-es", "ipop", "reevaluate", true, 1, 4, 60},
    {"lm-ma-es", NULL, NULL, false, 1, 12, 60},
    {"lm-ma-es", "ipop", NULL, false, 1, 2, 200},
    {"mo-cma-es", NULL, NULL, false, 2, 6, 40},
    {"mo-cma-es", NULL, NULL, false, 3, 4, 20},
    {"nsga-ii", NULL, NULL, true, 2, 6, 20},
    {"nsga-ii", NULL, NULL, false, 3, 4, 15},
    {"discrete", NULL, NULL, true, 1, 6, 60},
    {"discrete", NULL, NULL, true, 1, 1, 40},
    {"random", NULL, NULL, true, 1, 6, 20},
    {"halton", NULL, NULL, true, 1, 6, 20},
    {"sobol", NULL, NULL, true, 1, 6, 20},
    {"listed", NULL, NULL, true, 1, 6, 20},
    {"listed", NULL, NULL, false, 2, 3, 20},
};

#define ROWS (sizeof rows / sizeof *rows)

/* ---- small helpers ---- */

#define LIST 90 /* points: in generations of 16 and what remains */

struct box {
    double start[N_MAX], lower[N_MAX], upper[N_MAX], steps[N_MAX];
    double points[LIST * N_MAX]; /* of a list: whole numbers around the start, by seed */
};

static struct optimiser_options options_of(const struct row *row, struct box *box, uint64_t seed)
{
    for (size_t j = 0; j < row->n; j++) {
        bool whole = row->integers && j >= row->n / 2;

        box->start[j] = whole ? 2.0 : 1.5;
        box->lower[j] = whole ? -4.0 : -5.0;
        box->upper[j] = whole ? 4.0 : 5.0;
        box->steps[j] = whole ? 1.0 : 0.0;
    }
    for (size_t i = 0; i < LIST * row->n; i++) {
        box->points[i] = (double)((i * 7 + i / row->n * 3 + seed) % 9) - 4.0;
    }
    return (struct optimiser_options){.algorithm = row->algorithm,
                                      .points = box->points,
                                      .n_points = LIST,
                                      .restarts = row->restarts,
                                      .noise = row->noise,
                                      .n = row->n,
                                      .start = box->start,
                                      .sigma = 1.0,
                                      .lower = box->lower,
                                      .upper = box->upper,
                                      .steps = box->steps,
                                      .objectives = row->objectives,
                                      .seed = seed};
}

static struct optimiser *make(const struct row *row, uint64_t seed)
{
    struct box box;
    struct optimiser_options options = options_of(row, &box, seed);
    struct optimiser *made = NULL;
    struct err err = {0};

    if (optimiser_new(&made, &options, &err) != 0) {
        fail_msg("%s: %s", row->algorithm, err.text);
    }
    return made;
}

static struct optimiser *copy(const struct optimiser *o)
{
    struct optimiser *made = NULL;
    unsigned char *bytes;
    struct err err = {0};
    size_t n;

    optimiser_save(o, &bytes, &n);
    if (optimiser_restore(&made, bytes, n, &err) != 0) {
        fail_msg("%s: %s", optimiser_name(o), err.text);
    }
    free(bytes);
    return made;
}

static void assert_same_bytes(const struct optimiser *a, const struct optimiser *b)
{
    unsigned char *left, *right;
    size_t left_n, right_n;

    optimiser_save(a, &left, &left_n);
    optimiser_save(b, &right, &right_n);
    assert_int_equal(left_n, right_n);
    assert_memory_equal(left, right, left_n);
    free(left);
    free(right);
}

static double *ask(struct optimiser *o)
{
    double *points = mem_array(optimiser_asks(o) * optimiser_n(o), sizeof *points);

    optimiser_ask(o, points);
    return points;
}

/* A valley with a rough floor; the second objective pulls elsewhere; now and then a failure. */
static void value_of(const double *x, size_t n, size_t m, double *out)
{
    for (size_t i = 0; i < m; i++) {
        double moved[N_MAX];

        for (size_t j = 0; j < n; j++) {
            moved[j] = x[j] - (double)i;
        }
        out[i] = objective_ellipsoid(moved, n) + objective_rastrigin(moved, n);
    }
    if (fabs(sin(1e3 * x[0])) > 0.98) {
        out[0] = (double)NAN;
    }
}

/* Fitness of all points, found out in an order drawn from rng as workers would. */
static double *measure(struct optimiser *o, const double *points, struct rng64 *rng)
{
    const size_t n = optimiser_n(o), asks = optimiser_asks(o), m = optimiser_objectives(o);
    double *fitness = mem_array(asks * m, sizeof *fitness);
    size_t *order = mem_array(asks, sizeof *order);

    for (size_t k = 0; k < asks; k++) {
        size_t at = (size_t)rng64_below(rng, k + 1);

        order[k] = order[at];
        order[at] = k;
    }
    for (size_t i = 0; i < asks; i++) {
        value_of(points + order[i] * n, n, m, fitness + order[i] * m);
    }
    free(order);
    return fitness;
}

static void step(struct optimiser *o, struct rng64 *rng)
{
    double *points = ask(o), *fitness = measure(o, points, rng);

    assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
    free(points);
    free(fitness);
}

/* ---- all of them alike ---- */

/* One goes straight through, the other is saved and restored at every generation, asked a varying
 * number of times, and told in another order. */
static void goes_on_with_the_same_bytes_after_every_generation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct optimiser *straight = make(&rows[i], 11), *broken = make(&rows[i], 11);
        struct rng64 one, other;

        rng64_seed(&one, 1, 1);
        rng64_seed(&other, 2, i);
        for (size_t g = 0; g < rows[i].generations && optimiser_stop(straight) == NULL; g++) {
            struct optimiser *next = copy(broken);
            double *points = ask(straight);

            assert_same_bytes(straight, broken);
            optimiser_free(broken);
            broken = next;
            for (uint64_t again = rng64_below(&other, 3); again > 0; again--) {
                double *same = ask(broken);

                assert_memory_equal(points, same,
                                    optimiser_asks(straight) * rows[i].n * sizeof *points);
                free(same);
            }
            free(points);
            step(straight, &one);
            step(broken, &other);
        }
        assert_same_bytes(straight, broken);
        optimiser_free(straight);
        optimiser_free(broken);
    }
}

static void points_stay_in_the_box_and_on_the_grid(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct optimiser *o = make(&rows[i], 3);
        struct rng64 rng;

        rng64_seed(&rng, 5, i);
        for (size_t g = 0; g < 30 && optimiser_stop(o) == NULL; g++) {
            double *points = ask(o);

            for (size_t k = 0; k < optimiser_asks(o) * rows[i].n; k++) {
                bool whole = rows[i].integers && k % rows[i].n >= rows[i].n / 2;

                assert_true(fabs(points[k]) <= (whole ? 4.0 : 5.0));
                assert_true(!whole || points[k] == floor(points[k]));
            }
            free(points);
            step(o, &rng);
        }
        optimiser_free(o);
    }
}

static void another_seed_is_another_search(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct optimiser *a = make(&rows[i], 1), *b = make(&rows[i], 2);
        double *left = ask(a), *right = ask(b);

        assert_memory_not_equal(left, right, optimiser_asks(a) * rows[i].n * sizeof *left);
        free(left);
        free(right);
        optimiser_free(a);
        optimiser_free(b);
    }
}

/* Every prefix and every flipped byte is refused, or gives an optimiser that asks for points. */
static void damaged_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct optimiser *o = make(&rows[i], 4);
        unsigned char *bytes;
        struct rng64 rng;
        size_t n;

        rng64_seed(&rng, 6, i);
        step(o, &rng);
        step(o, &rng);
        optimiser_save(o, &bytes, &n);
        for (size_t at = 0; at < n; at += 1 + n / 400) {
            unsigned char *cut = mem_alloc(at + 1);
            struct optimiser *made = NULL;
            struct err err = {0};

            memcpy(cut, bytes, at);
            assert_int_equal(optimiser_restore(&made, cut, at, &err), ERR_FORMAT);
            free(cut);
            bytes[at] ^= 0x55;
            if (optimiser_restore(&made, bytes, n, &err) == 0) {
                free(ask(made));
                optimiser_free(made);
            }
            bytes[at] ^= 0x55;
        }
        free(bytes);
        optimiser_free(o);
    }
}

/* ---- each for what it is there for ---- */

/* Generations until the best is below the target; 0 when it never is. */
static size_t generations_to(const char *algorithm, objective *f, size_t n, double target,
                             size_t most)
{
    const struct row row = {algorithm, NULL, NULL, false, 1, n, 0};
    struct optimiser *o = make(&row, 5);
    size_t taken = 0;

    for (size_t g = 1; g <= most && taken == 0; g++) {
        double *points = ask(o);
        double *fitness = mem_array(optimiser_asks(o), sizeof *fitness);

        for (size_t k = 0; k < optimiser_asks(o); k++) {
            fitness[k] = f(points + k * n, n);
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        taken = optimiser_best(o, NULL) < target ? g : 0;
        free(points);
        free(fitness);
    }
    optimiser_free(o);
    return taken;
}

static void a_diagonal_learns_scales_sooner(void **state)
{
    (void)state;
    size_t full = generations_to("cma-es", objective_ellipsoid, 10, 1e-8, 1000);
    size_t separable = generations_to("sep-cma-es", objective_ellipsoid, 10, 1e-8, 1000);
    size_t accelerated = generations_to("dd-cma-es", objective_ellipsoid, 10, 1e-8, 1000);

    assert_true(separable > 0 && accelerated > 0 && full > 0);
    assert_true(separable < 3 * full / 4);
    assert_true(accelerated < 3 * full / 4);
}

static void a_model_saves_most_evaluations_of_a_smooth_objective(void **state)
{
    (void)state;
    const struct row row = {"lq-cma-es", NULL, NULL, false, 1, 6, 0};
    struct optimiser *o = make(&row, 2);
    size_t used = 0;

    while (optimiser_best(o, NULL) > 1e-8 && used < 1000) {
        double *points = ask(o);
        size_t asks = optimiser_asks(o);
        double *fitness = mem_array(asks, sizeof *fitness);

        for (size_t k = 0; k < asks; k++) {
            fitness[k] = objective_ellipsoid(points + k * 6, 6);
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        used += asks;
        free(points);
        free(fitness);
    }
    assert_true(used < 40); /* CMA-ES alone takes some 2000 */
    optimiser_free(o);
}

static void an_accelerated_search_still_learns_a_bent_valley(void **state)
{
    (void)state;
    size_t full = generations_to("cma-es", objective_rosenbrock, 8, 1e-8, 2000);
    size_t accelerated = generations_to("dd-cma-es", objective_rosenbrock, 8, 1e-8, 2000);

    assert_true(full > 0 && accelerated > 0 && accelerated < 3 * full / 2);
}

static void restarts_leave_a_local_minimum(void **state)
{
    (void)state;
    static const char *const kinds[] = {"ipop", "bipop"};

    for (size_t i = 0; i < 2; i++) {
        const struct row row = {"cma-es", kinds[i], NULL, false, 1, 4, 0};
        struct optimiser *o = make(&row, 9);
        double best = HUGE_VAL, point[4];

        for (size_t used = 0; used < 60000 && best > 1e-8;) {
            double *points = ask(o);
            size_t asks = optimiser_asks(o);
            double *fitness = mem_array(asks, sizeof *fitness);

            for (size_t k = 0; k < asks; k++) {
                fitness[k] = objective_rastrigin(points + k * 4, 4);
            }
            assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
            best = optimiser_best(o, point);
            used += asks;
            free(points);
            free(fitness);
        }
        assert_true(best <= 1e-8);
        assert_true(objective_rastrigin(point, 4) == best);
        optimiser_free(o);
    }
}

/* The largest gap between a share of points and a share of the line, over both halves' edges. */
static void halton_points_fill_every_coordinate_evenly(void **state)
{
    (void)state;
    const struct row row = {"halton", NULL, NULL, false, 1, N_MAX, 0};
    struct optimiser *o = make(&row, 8);
    struct rng64 rng;
    size_t below[N_MAX] = {0}, n = 0;

    rng64_seed(&rng, 1, 1);
    for (size_t g = 0; g < 64; g++) {
        double *points = ask(o);

        for (size_t k = 0; k < optimiser_asks(o); k++, n++) {
            for (size_t j = 0; j < N_MAX; j++) {
                below[j] += points[k * N_MAX + j] < 0.0;
            }
        }
        free(points);
        step(o, &rng);
    }
    for (size_t j = 0; j < N_MAX; j++) { /* random points would miss by 3 % as often as not */
        assert_true(fabs((double)below[j] / (double)n - 0.5) < 0.02);
    }
    optimiser_free(o);
}

/* The first points [n, dims] of a sampler in the unit cube. */
static double *sample(const char *algorithm, uint64_t seed, size_t n, size_t dims)
{
    double *box = mem_array(3 * dims, sizeof *box), *points = mem_array(n * dims, sizeof *points);
    struct optimiser *o = NULL;

    for (size_t j = 0; j < dims; j++) {
        box[j] = 0.5;
        box[2 * dims + j] = 1.0;
    }
    const struct optimiser_options options = {.algorithm = algorithm,
                                              .n = dims,
                                              .start = box,
                                              .sigma = 0.25,
                                              .lower = box + dims,
                                              .upper = box + 2 * dims,
                                              .lambda = n,
                                              .seed = seed};
    assert_int_equal(optimiser_new(&o, &options, NULL), 0);
    optimiser_ask(o, points);
    optimiser_free(o);
    free(box);
    return points;
}

static void sobol_points_stand_one_in_each_of_equal_boxes(void **state)
{
    const size_t n = 1024, dims = 60;
    double *points = sample("sobol", 3, n, dims);

    (void)state;
    for (size_t j = 0; j < 53; j++) { /* one in each of n intervals */
        unsigned char seen[1024] = {0};

        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)(points[i * dims + j] * (double)n);

            assert_int_equal(seen[at]++, 0);
        }
    }
    for (size_t cut = 0; cut <= 10; cut++) { /* 2^cut by 2^(10 - cut) boxes of the first two */
        unsigned char seen[1024] = {0};

        for (size_t i = 0; i < n; i++) {
            size_t x = (size_t)(ldexp(points[i * dims], (int)cut));
            size_t y = (size_t)(ldexp(points[i * dims + 1], (int)(10 - cut)));

            assert_int_equal(seen[x << (10 - cut) | y]++, 0);
        }
    }
    free(points);
}

/* The squared L2 star discrepancy: Warnock 1972. */
static double discrepancy(const double *points, size_t n, size_t dims)
{
    double each = 0.0, pairs = 0.0;

    for (size_t i = 0; i < n; i++) {
        double one = 1.0;

        for (size_t d = 0; d < dims; d++) {
            one *= 1.0 - points[i * dims + d] * points[i * dims + d];
        }
        each += one;
        for (size_t j = 0; j < n; j++) {
            double both = 1.0;

            for (size_t d = 0; d < dims; d++) {
                both *= 1.0 - fmax(points[i * dims + d], points[j * dims + d]);
            }
            pairs += both;
        }
    }
    return pow(3.0, -(double)dims) - each * pow(2.0, 1.0 - (double)dims) / (double)n +
           pairs / ((double)n * (double)n);
}

static void sobol_points_are_more_even_than_halton_s_and_those_than_random_ones(void **state)
{
    static const char *const samplers[] = {"sobol", "halton", "random"};
    double sums[3] = {0};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        for (uint64_t seed = 1; seed <= 9; seed++) {
            double *points = sample(samplers[s], seed, 256, 6);

            sums[s] += discrepancy(points, 256, 6);
            free(points);
        }
    }
    assert_true(sums[0] < sums[1]);
    assert_true(sums[1] < 0.5 * sums[2]);
}

/* The true value of where a search of a noisy sphere stands after 5000 evaluations. */
static double noisy_sphere(const char *noise, uint64_t seed)
{
    const struct row row = {"cma-es", NULL, noise, false, 1, 6, 0};
    struct optimiser *o = make(&row, seed);
    struct rng64 rng;
    double mean[6];

    rng64_seed(&rng, 99, seed);
    for (size_t used = 0; used < 5000;) {
        double *points = ask(o);
        size_t asks = optimiser_asks(o);
        double *fitness = mem_array(asks + 1, sizeof *fitness);

        rng64_normals(&rng, fitness, asks);
        for (size_t k = 0; k < asks; k++) {
            fitness[k] = objective_sphere(points + k * 6, 6) + 0.1 * fitness[k];
        }
        used = optimiser_tell(o, fitness, NULL) == 0 ? used + asks : SIZE_MAX;
        free(points);
        free(fitness);
    }
    optimiser_mean(o, mean);
    optimiser_free(o);
    return objective_sphere(mean, 6);
}

static void care_for_noise_comes_closer_than_none(void **state)
{
    (void)state;
    double none = 0.0, reevaluate = 0.0, adapt = 0.0;

    for (uint64_t seed = 1; seed <= 9; seed++) {
        none += log(noisy_sphere(NULL, seed));
        reevaluate += log(noisy_sphere("reevaluate", seed));
        adapt += log(noisy_sphere("adapt", seed));
    }
    assert_true(reevaluate < none - 9.0 * log(2.0)); /* twice as close, by geometric mean */
    assert_true(adapt < none - 9.0 * log(5.0));
}

static void a_list_is_asked_in_its_order_and_no_further(void **state)
{
    (void)state;
    const struct row row = {"listed", NULL, NULL, true, 1, 2, 0};
    struct box box;
    struct optimiser_options options = options_of(&row, &box, 1);
    struct optimiser *o = make(&row, 1);
    struct rng64 rng;
    size_t asked = 0;

    rng64_seed(&rng, 1, 1);
    while (optimiser_stop(o) == NULL) {
        double *points = ask(o);
        const size_t asks = optimiser_asks(o);

        assert_int_equal(asks, asked + 16 <= LIST ? 16 : LIST - asked);
        assert_memory_equal(points, options.points + 2 * asked, 2 * asks * sizeof *points);
        asked += asks;
        free(points);
        step(o, &rng);
    }
    assert_int_equal(asked, LIST);
    assert_string_equal(optimiser_stop(o), "listed");
    assert_int_equal(optimiser_asks(o), 0);
    optimiser_free(o);
}

static void a_thousand_coordinates_need_no_covariance(void **state)
{
    (void)state;
    static double start[1000];
    struct optimiser_options options = {
        .algorithm = "lm-ma-es", .n = 1000, .start = start, .sigma = 1.0};
    struct optimiser *o = NULL;

    for (size_t j = 0; j < 1000; j++) {
        start[j] = 1.0;
    }
    assert_int_equal(optimiser_new(&o, &options, NULL), 0);
    for (size_t g = 0; g < 1000; g++) {
        double *points = ask(o);
        size_t asks = optimiser_asks(o);
        double *fitness = mem_array(asks, sizeof *fitness);

        for (size_t k = 0; k < asks; k++) {
            fitness[k] = objective_sphere(points + k * 1000, 1000);
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        free(points);
        free(fitness);
    }
    assert_true(optimiser_best(o, NULL) < 1.0); /* from 1000 */
    optimiser_free(o);
}

/* f1 = x^2 + rest, f2 = (x - 2)^2 + rest: the front is the line from 0 to 2, rest 0. The volume
 * below (5, 5) after so many evaluations. */
static double volume_reached(const char *algorithm, uint64_t seed, size_t evaluations,
                             size_t *on_front)
{
    const struct row row = {algorithm, NULL, NULL, false, 2, 4, 0};
    struct optimiser *o = make(&row, seed);
    const double *points, *values, reference[2] = {5.0, 5.0};

    for (size_t used = 0; used < evaluations; used += optimiser_asks(o)) {
        double *asked = ask(o);
        size_t asks = optimiser_asks(o);
        double *fitness = mem_array(2 * asks, sizeof *fitness);

        for (size_t k = 0; k < asks; k++) {
            const double *x = asked + k * 4;
            double rest = objective_sphere(x + 1, 3);

            fitness[2 * k] = x[0] * x[0] + rest;
            fitness[2 * k + 1] = (x[0] - 2.0) * (x[0] - 2.0) + rest;
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        free(asked);
        free(fitness);
    }
    *on_front = optimiser_front(o, &points, &values);
    double volume = pareto_hypervolume(values, *on_front, 2, reference);

    optimiser_free(o);
    return volume;
}

/* The true front sqrt(f1) + sqrt(f2) = 2 leaves 8 / 3 of 25 uncovered. */
#define VOLUME_MOST (25.0 - 8.0 / 3.0)

static void two_objectives_give_a_front(void **state)
{
    size_t n;

    (void)state;
    assert_true(volume_reached("nsga-ii", 1, 4000, &n) > 0.98 * VOLUME_MOST);
    assert_true(n > 100);
    assert_true(volume_reached("mo-cma-es", 1, 4000, &n) > 0.98 * VOLUME_MOST);
    assert_true(n > 100);
}

static void from_few_evaluations_small_strategies_cover_more_than_a_population(void **state)
{
    double covered = 0.0, population = 0.0;
    size_t n;

    (void)state;
    for (uint64_t seed = 1; seed <= 11; seed++) {
        covered += volume_reached("mo-cma-es", seed, 240, &n);
        population += volume_reached("nsga-ii", seed, 240, &n);
    }
    assert_true(covered > 1.05 * population);
}

/* ---- who is chosen, who is sent away ---- */

static void auto_chooses_by_size_and_budget_and_says_why(void **state)
{
    (void)state;
    char why[200];
    struct optimiser_options few = {.n = 30}, many = {.n = 400}, small = {.n = 6};

    assert_string_equal(optimiser_choose(&few, why, sizeof why), "cma-es");
    assert_non_null(strstr(why, "30 coordinates"));
    assert_string_equal(optimiser_choose(&many, why, sizeof why), "dd-cma-es");
    small.evaluations = 300;
    assert_string_equal(optimiser_choose(&small, why, sizeof why), "lq-cma-es");
    many.evaluations = 2000;
    assert_string_equal(optimiser_choose(&many, why, sizeof why), "sep-cma-es");
    assert_non_null(strstr(why, "the budget is 2000"));
}

/* The published search over layer routes: 4288 coordinates, 128 candidates a generation. */
static void the_horizon_of_a_covariance_is_known_beforehand(void **state)
{
    size_t lambda = 128, usual = 0;
    double published = optimiser_horizon("cma-es", 4288, &lambda);

    (void)state;
    assert_true(published > 270000.0 && published < 280000.0);
    assert_true(optimiser_horizon("sep-cma-es", 4288, &lambda) < published / 1000.0);
    assert_true(optimiser_horizon("random", 10, &usual) == 0.0);
    assert_int_equal(usual, 10);
}

static void what_an_algorithm_cannot_do_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct row row;
        int code;
        const char *words;
    } cases[] = {
        {{"cmaes", NULL, NULL, false, 1, 3, 0}, ERR_MISSING, "there is no algorithm 'cmaes'"},
        {{"random", "ipop", NULL, false, 1, 3, 0}, ERR_CONFLICT, "random has no restarts"},
        {{"cma-es", "often", NULL, false, 1, 3, 0}, ERR_MISSING, "restarts: no 'often'"},
        {{"cma-es", NULL, NULL, false, 2, 3, 0}, ERR_CONFLICT, "cma-es has no several objectives"},
        {{"dd-cma-es", NULL, NULL, true, 1, 4, 0}, ERR_CONFLICT, "dd-cma-es has no integer"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct box box;
        struct optimiser_options options = options_of(&cases[i].row, &box, 1);
        struct optimiser *made = NULL;
        struct err err = {0};

        assert_int_equal(optimiser_new(&made, &options, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].words));
    }
}

/* Four whole numbers of twenty values; only one set of them is right, and near ones are no better
 * than others for the last two. Evaluations until it is found. */
static size_t until_found(const char *algorithm, uint64_t seed)
{
    const double start[4] = {0}, lower[4] = {0}, upper[4] = {20, 20, 20, 20};
    const double steps[4] = {1, 1, -1, -1}, right[4] = {17, 5, 11, 3};
    const struct optimiser_options options = {.algorithm = algorithm,
                                              .n = 4,
                                              .start = start,
                                              .sigma = 5.0,
                                              .lower = lower,
                                              .upper = upper,
                                              .steps = steps,
                                              .lambda = 12,
                                              .seed = seed};
    struct optimiser *o = NULL;
    size_t spent = 0;

    assert_int_equal(optimiser_new(&o, &options, NULL), 0);
    while (optimiser_best(o, NULL) > 0.0 && spent < 6000 && optimiser_stop(o) == NULL) {
        double *points = ask(o), fitness[12];

        for (size_t k = 0; k < 12; k++) {
            const double *x = points + 4 * k;

            fitness[k] = fabs(x[0] - right[0]) + fabs(x[1] - right[1]) +
                         (x[2] != right[2] ? 4.0 : 0.0) + (x[3] != right[3] ? 4.0 : 0.0);
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        spent += 12;
        free(points);
    }
    optimiser_free(o);
    return spent;
}

static void a_discrete_search_finds_a_set_of_choices_soon(void **state)
{
    size_t discrete = 0, random = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        discrete += until_found("discrete", seed);
        random += until_found("random", seed);
    }
    assert_true(discrete / 15 < 500);
    assert_true(6 * discrete < random);
}

/* Nine points there are, nine it asks for, and then it has seen all. */
static void a_discrete_search_asks_nothing_twice(void **state)
{
    const double start[2] = {1, 1}, lower[2] = {0}, upper[2] = {2, 2}, steps[2] = {1, -1};
    const struct optimiser_options options = {.algorithm = "discrete",
                                              .n = 2,
                                              .start = start,
                                              .sigma = 1.0,
                                              .lower = lower,
                                              .upper = upper,
                                              .steps = steps,
                                              .lambda = 3,
                                              .seed = 4};
    struct optimiser *o = NULL;
    bool asked[9] = {false};
    size_t rounds = 0;

    (void)state;
    assert_int_equal(optimiser_new(&o, &options, NULL), 0);
    for (; optimiser_stop(o) == NULL; rounds++) {
        double *points = ask(o), fitness[3];

        for (size_t k = 0; k < 3; k++) {
            size_t at = (size_t)(3 * points[2 * k] + points[2 * k + 1]);

            assert_false(rounds < 2 && asked[at]);
            asked[at] = true;
            fitness[k] = (double)at;
        }
        assert_int_equal(optimiser_tell(o, fitness, NULL), 0);
        free(points);
    }
    assert_in_range(rounds, 4, 8);
    assert_string_equal(optimiser_stop(o), "exhausted");
    assert_true(optimiser_best(o, NULL) == 0.0);
    optimiser_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_with_the_same_bytes_after_every_generation),
        cmocka_unit_test(points_stay_in_the_box_and_on_the_grid),
        cmocka_unit_test(another_seed_is_another_search),
        cmocka_unit_test(damaged_bytes_are_refused_or_harmless),
        cmocka_unit_test(a_diagonal_learns_scales_sooner),
        cmocka_unit_test(a_model_saves_most_evaluations_of_a_smooth_objective),
        cmocka_unit_test(an_accelerated_search_still_learns_a_bent_valley),
        cmocka_unit_test(restarts_leave_a_local_minimum),
        cmocka_unit_test(halton_points_fill_every_coordinate_evenly),
        cmocka_unit_test(sobol_points_stand_one_in_each_of_equal_boxes),
        cmocka_unit_test(sobol_points_are_more_even_than_halton_s_and_those_than_random_ones),
        cmocka_unit_test(care_for_noise_comes_closer_than_none),
        cmocka_unit_test(a_list_is_asked_in_its_order_and_no_further),
        cmocka_unit_test(a_thousand_coordinates_need_no_covariance),
        cmocka_unit_test(two_objectives_give_a_front),
        cmocka_unit_test(a_discrete_search_finds_a_set_of_choices_soon),
        cmocka_unit_test(a_discrete_search_asks_nothing_twice),
        cmocka_unit_test(from_few_evaluations_small_strategies_cover_more_than_a_population),
        cmocka_unit_test(auto_chooses_by_size_and_budget_and_says_why),
        cmocka_unit_test(the_horizon_of_a_covariance_is_known_beforehand),
        cmocka_unit_test(what_an_algorithm_cannot_do_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
