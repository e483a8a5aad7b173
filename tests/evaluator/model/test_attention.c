#include "evaluator/model/attention.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

/* A tree of nodes, depth first, with random queries, keys and values. */
struct tree {
    struct attention_shape shape;
    size_t n, stride, width;
    uint32_t *depths;
    float *qkv; /* [n, stride] */
};

/* Now and then the walk goes back to a branch; a third of the nodes start one. */
static struct tree grow(size_t n_heads, size_t n_kv_heads, size_t head_width, size_t n,
                        uint32_t branching)
{
    struct tree tree = {
        .shape = {n_heads, n_kv_heads, head_width, 0, 1.0F / sqrtf((float)head_width)},
        .n = n,
        .stride = (n_heads + 2 * n_kv_heads) * head_width,
        .width = n_heads * head_width,
        .depths = mem_array(n, sizeof(uint32_t)),
        .qkv = mem_array(n * (n_heads + 2 * n_kv_heads) * head_width, sizeof(float))};
    double *values = mem_array(n * tree.stride, sizeof(double));
    struct rng32 branch;
    struct rng64 rng;

    rng32_seed(&branch, 4, 1);
    rng64_seed(&rng, 5, 1);
    rng64_normals(&rng, values, n * tree.stride);
    for (size_t i = 0; i < n * tree.stride; i++) {
        tree.qkv[i] = (float)values[i];
    }
    for (size_t i = 1; i < n; i++) {
        uint32_t deepest = tree.depths[i - 1] + 1;

        tree.depths[i] =
            rng32_below(&branch, branching) == 0 ? rng32_below(&branch, deepest + 1) : deepest;
    }
    for (size_t i = 0; i < n; i++) {
        if (tree.depths[i] + 1 > tree.shape.depth_max) {
            tree.shape.depth_max = tree.depths[i] + 1;
        }
    }
    free(values);
    return tree;
}

static void fell(struct tree *tree)
{
    free(tree->depths);
    free(tree->qkv);
}

/* The node's path, root first; returns its length. */
static size_t path_of(const struct tree *tree, size_t node, size_t *path)
{
    size_t n = tree->depths[node] + 1;

    for (size_t depth = n; depth-- > 0;) {
        while (tree->depths[node] != depth) {
            node--;
        }
        path[depth] = node;
    }
    return n;
}

/* The slow twin: one node, one head, in double. */
static void attend_plainly(const struct tree *tree, size_t node, size_t h, double *out)
{
    const struct attention_shape *shape = &tree->shape;
    size_t K = shape->head_width;
    size_t g = h / (shape->n_heads / shape->n_kv_heads);
    size_t *path = mem_array(shape->depth_max, sizeof(size_t));
    double *p = mem_array(shape->depth_max, sizeof(double));
    size_t n = path_of(tree, node, path);
    double largest = -HUGE_VAL;
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) {
        const float *key = tree->qkv + path[j] * tree->stride + tree->width + g * K;

        for (size_t d = 0; d < K; d++) {
            p[j] += (double)tree->qkv[node * tree->stride + h * K + d] * (double)key[d];
        }
        p[j] /= sqrt((double)K);
        if (shape->cap > 0.0F) {
            p[j] = (double)shape->cap * tanh(p[j] / (double)shape->cap);
        }
        if (shape->window > 0 && j + shape->window < n) {
            p[j] = -HUGE_VAL;
        }
        largest = fmax(largest, p[j]);
    }
    for (size_t j = 0; j < n; j++) {
        p[j] = exp(p[j] - largest);
        sum += p[j];
    }
    for (size_t d = 0; d < K; d++) {
        out[d] = 0.0;
        for (size_t j = 0; j < n; j++) {
            const float *value =
                tree->qkv + path[j] * tree->stride + tree->width + (shape->n_kv_heads + g) * K;
            out[d] += p[j] / sum * (double)value[d];
        }
    }
    free(path);
    free(p);
}

/* The fast one, `step` nodes a call. */
static float *attend_by(const struct attention *attention, const struct tree *tree, size_t step)
{
    float *stack = mem_array(attention_stack_floats(&tree->shape), sizeof(float));
    float *scratch = mem_array(attention_scratch_floats(&tree->shape), sizeof(float));
    float *out = mem_array(tree->n * tree->width, sizeof(float));

    for (size_t at = 0; at < tree->n; at += step) {
        attention->attend(out + at * tree->width, tree->qkv + at * tree->stride, tree->depths + at,
                          tree->n - at < step ? tree->n - at : step, &tree->shape, stack, scratch);
    }
    free(stack);
    free(scratch);
    return out;
}

static void assert_equals_plain(struct tree tree)
{
    double *want = mem_array(tree.shape.head_width, sizeof(double));

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        float *out = attend_by(attention_for((enum isa)isa), &tree, tree.n);

        for (size_t node = 0; node < tree.n; node++) {
            for (size_t h = 0; h < tree.shape.n_heads; h++) {
                attend_plainly(&tree, node, h, want);
                for (size_t d = 0; d < tree.shape.head_width; d++) {
                    double got = (double)out[node * tree.width + h * tree.shape.head_width + d];

                    if (!(fabs(got - want[d]) <= 2e-6)) {
                        fail_msg("%s, node %zu head %zu element %zu: %.9g is not %.9g",
                                 isa_name((enum isa)isa), node, h, d, got, want[d]);
                    }
                }
            }
        }
        free(out);
    }
    free(want);
    fell(&tree);
}

static void equals_the_plain_formula_on_a_path(void **state)
{
    (void)state;
    assert_equals_plain(grow(2, 2, 16, 150, 1U << 30));
}

static void equals_the_plain_formula_on_a_tree(void **state)
{
    (void)state;
    assert_equals_plain(grow(2, 2, 16, 150, 3));
}

static void heads_share_keys_in_groups(void **state)
{
    (void)state;
    assert_equals_plain(grow(6, 2, 8, 80, 4));
    assert_equals_plain(grow(4, 1, 64, 80, 10));
}

static void heads_may_have_any_width(void **state)
{
    (void)state;
    const size_t head_widths[] = {2, 8, 24, 48, 64, 80, 96, 100, 128, 256};

    for (size_t i = 0; i < sizeof(head_widths) / sizeof(head_widths[0]); i++) {
        assert_equals_plain(grow(2, 1, head_widths[i], 70, 12));
    }
}

/* The same tree, of which nodes see the last entries of their path. */
static struct tree with_window(struct tree tree, size_t window)
{
    tree.shape.window = window;
    return tree;
}

static void a_window_hides_what_is_farther_back(void **state)
{
    (void)state;
    const size_t windows[] = {1, 2, 3, 5, 16, 17, 40, 149, 150, 1000};

    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        assert_equals_plain(with_window(grow(2, 2, 16, 150, 1U << 30), windows[i]));
        assert_equals_plain(with_window(grow(4, 1, 24, 150, 5), windows[i]));
    }
}

static void scores_are_capped(void **state)
{
    (void)state;
    const float caps[] = {0.5F, 2.0F, 50.0F};

    for (size_t i = 0; i < 3; i++) {
        struct tree tree = grow(4, 2, 24, 100, 9);

        tree.shape.cap = caps[i];
        tree.shape.window = i == 1 ? 20 : 0;
        assert_equals_plain(tree);
    }
}

/* However many nodes a call takes, and so however queries share loads. */
static void assert_cuts_change_no_bit(struct tree tree)
{
    const size_t steps[] = {1, 2, 3, 5, 17, 64};

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct attention *attention = attention_for((enum isa)isa);
        float *whole = attend_by(attention, &tree, tree.n);

        for (size_t i = 0; i < 6; i++) {
            float *cut = attend_by(attention, &tree, steps[i]);

            assert_memory_equal(cut, whole, tree.n * tree.width * sizeof(float));
            free(cut);
        }
        free(whole);
    }
    fell(&tree);
}

static void cutting_into_chunks_changes_no_bit(void **state)
{
    (void)state;
    assert_cuts_change_no_bit(grow(4, 2, 24, 200, 9));
    assert_cuts_change_no_bit(grow(7, 1, 24, 120, 9));
    for (size_t window = 1; window < 40; window += 6) {
        assert_cuts_change_no_bit(with_window(grow(4, 2, 24, 200, 9), window));
    }
}

static void other_branches_change_no_bit(void **state)
{
    (void)state;
    struct tree tree = grow(4, 2, 24, 120, 5);
    size_t *path = mem_array(tree.n, sizeof(size_t));

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct attention *attention = attention_for((enum isa)isa);
        float *whole = attend_by(attention, &tree, tree.n);

        for (size_t node = 0; node < tree.n; node += 7) {
            struct tree alone = tree;

            alone.n = path_of(&tree, node, path);
            alone.depths = mem_array(alone.n, sizeof(uint32_t));
            alone.qkv = mem_array(alone.n * tree.stride, sizeof(float));
            for (size_t i = 0; i < alone.n; i++) {
                alone.depths[i] = (uint32_t)i;
                memcpy(alone.qkv + i * tree.stride, tree.qkv + path[i] * tree.stride,
                       tree.stride * sizeof(float));
            }
            float *out = attend_by(attention, &alone, alone.n);
            assert_memory_equal(out + (alone.n - 1) * tree.width, whole + node * tree.width,
                                tree.width * sizeof(float));
            free(out);
            fell(&alone);
        }
        free(whole);
    }
    free(path);
    fell(&tree);
}

static void large_scores_do_not_overflow(void **state)
{
    (void)state;
    struct tree tree = grow(1, 1, 16, 40, 1U << 30);

    for (size_t i = 0; i < tree.n * tree.stride; i++) {
        tree.qkv[i] *= 100.0F;
    }
    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        float *out = attend_by(attention_for((enum isa)isa), &tree, tree.n);

        for (size_t i = 0; i < tree.n * tree.width; i++) {
            assert_true(isfinite(out[i]));
        }
        free(out);
    }
    fell(&tree);
}

static void a_nan_does_not_reach_other_branches(void **state)
{
    (void)state;
    const uint32_t depths[] = {0, 1, 2, 1, 2};
    struct tree tree = grow(1, 1, 16, 5, 1U << 30);

    memcpy(tree.depths, depths, sizeof(depths));
    tree.qkv[1 * tree.stride + 20] = NAN; /* a key of the first branch */
    tree.qkv[2 * tree.stride + 40] = NAN; /* a value */
    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        float *out = attend_by(attention_for((enum isa)isa), &tree, tree.n);

        assert_true(isnan(out[2 * 16 + 8]));
        assert_true(!isnan(out[3 * 16 + 8]));
        assert_true(!isnan(out[4 * 16 + 8]));
        free(out);
    }
    fell(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_plain_formula_on_a_path),
        cmocka_unit_test(equals_the_plain_formula_on_a_tree),
        cmocka_unit_test(heads_share_keys_in_groups),
        cmocka_unit_test(heads_may_have_any_width),
        cmocka_unit_test(a_window_hides_what_is_farther_back),
        cmocka_unit_test(scores_are_capped),
        cmocka_unit_test(cutting_into_chunks_changes_no_bit),
        cmocka_unit_test(other_branches_change_no_bit),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(a_nan_does_not_reach_other_branches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
