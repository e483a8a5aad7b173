/*
 * Decoding with kept keys and values against decoding by scoring: for every family the same tokens
 * and the same bits of log-likelihood, whatever lines are beside a line.
 */
#include "evaluator/model/generate.h"

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
#include "evaluator/model/checkpoint.h"
#include "evaluator/model/tokens.h"
#include "evaluator/model/trie.h"
#include "tests/support/families.h"
#include "tests/support/opened.h"
#include "tests/support/support.h"

#define PROMPTS ((size_t)9)
#define LONGEST ((size_t)18) /* tokens of a prompt: beyond every sliding window */
#define NEW ((size_t)12)

/* ---- prompts, and what was written after them ---- */

struct texts {
    uint32_t prompts[PROMPTS][LONGEST];
    struct generate_prompt all[PROMPTS];
    struct tokens written[PROMPTS];
    double loglikelihoods[PROMPTS][NEW]; /* of each token written */
    uint32_t last;                       /* a line ends with it */
};

/* Of few tokens, so that beginnings are shared; the last two prompts are equal. */
static void draw(struct texts *texts)
{
    struct rng32 rng;

    rng32_seed(&rng, 3, 2);
    *texts = (struct texts){.last = TRIE_NONE};
    for (size_t i = 0; i < PROMPTS; i++) {
        for (size_t t = 0; t < LONGEST; t++) {
            texts->prompts[i][t] = t < i ? 4 : rng32_below(&rng, 50);
        }
        texts->all[i] = (struct generate_prompt){texts->prompts[i], 1 + i * 5 % LONGEST, NEW};
    }
    memcpy(texts->prompts[8], texts->prompts[7], sizeof texts->prompts[8]);
    texts->all[8].n = texts->all[7].n;
    texts->all[4].n_new = 1;
    texts->all[5].n_new = 3;
}

static void texts_release(struct texts *texts)
{
    for (size_t i = 0; i < PROMPTS; i++) {
        tokens_release(&texts->written[i]);
    }
}

static bool write_down(void *context, size_t line, const struct forward_place *place)
{
    struct texts *texts = context;
    struct tokens *written = &texts->written[line];

    assert_true(place->loglikelihood == place->best_loglikelihood);
    assert_true(written->n < NEW);
    texts->loglikelihoods[line][written->n] = place->loglikelihood;
    tokens_add(written, place->best);
    return place->best != texts->last;
}

static void generate_all(const struct opened *opened, struct texts *texts)
{
    const struct generate_sink sink = {.take = write_down, .context = texts};
    struct err err = {0};

    if (generate(opened->forward, opened->weights, texts->all, PROMPTS, &sink, &err) != 0) {
        fail_msg("%s: %s", opened->path, err.text);
    }
}

/* One line decoded the plain way: the whole text anew for every token. */
static void write_plainly(const struct opened *opened, struct texts *texts, size_t line)
{
    const struct generate_prompt *prompt = &texts->all[line];
    struct tokens tokens = {0};
    bool more = true;

    tokens_add_n(&tokens, prompt->tokens, prompt->n);
    for (size_t i = 0; i < prompt->n_new && more; i++) {
        struct trie *trie = trie_new();
        struct forward_result result;

        assert_int_equal(trie_add(trie, tokens.ids, tokens.n, tokens.n, true, NULL), 0);
        assert_int_equal(trie_finish(trie, NULL), 0);
        assert_int_equal(forward_score(opened->forward, opened->weights, trie, &result, NULL), 0);
        struct forward_place place = forward_place(opened->forward, trie, 0, 0);

        place.loglikelihood = place.best_loglikelihood;
        more = write_down(texts, line, &place);
        tokens_add(&tokens, place.best);
        trie_free(trie);
    }
    tokens_release(&tokens);
}

static void assert_same(const char *name, const struct texts *a, const struct texts *b)
{
    for (size_t i = 0; i < PROMPTS; i++) {
        const size_t n = a->written[i].n;

        if (b->written[i].n != n ||
            memcmp(a->written[i].ids, b->written[i].ids, n * sizeof(uint32_t)) != 0 ||
            memcmp(a->loglikelihoods[i], b->loglikelihoods[i], n * sizeof(double)) != 0) {
            fail_msg("%s: line %zu differs", name, i);
        }
    }
}

/* ---- the same as scoring ---- */

static void every_family_writes_what_scoring_finds_most_likely(void **state)
{
    (void)state;
    const size_t batches[] = {0, 7}; /* one stack for all layers; one for each */
    char *folder = support_temp_dir();

    for (size_t m = 0; m < n_family_models; m++) {
        for (size_t b = 0; b < 2; b++) {
            struct opened opened = opened_family(folder, &family_models[m], batches[b]);
            struct texts kept, plain;

            draw(&kept);
            draw(&plain);
            generate_all(&opened, &kept);
            for (size_t i = 0; i < PROMPTS; i++) {
                write_plainly(&opened, &plain, i);
            }
            assert_same(family_models[m].name, &kept, &plain);
            texts_release(&kept);
            texts_release(&plain);
            opened_close(&opened);
        }
    }
    support_remove_dir(folder);
}

static void what_was_written_is_greedy_when_it_is_scored(void **state)
{
    (void)state;
    char *folder = support_temp_dir();

    for (size_t m = 0; m < n_family_models; m++) {
        struct opened opened = opened_family(folder, &family_models[m], 0);
        struct forward_result results[PROMPTS];
        struct trie *trie = trie_new();
        struct texts texts;

        draw(&texts);
        generate_all(&opened, &texts);
        for (size_t i = 0; i < PROMPTS; i++) {
            struct tokens tokens = {0};

            tokens_add_n(&tokens, texts.all[i].tokens, texts.all[i].n);
            tokens_add_n(&tokens, texts.written[i].ids, texts.written[i].n);
            assert_int_equal(trie_add(trie, tokens.ids, tokens.n, texts.all[i].n, false, NULL), 0);
            tokens_release(&tokens);
        }
        assert_int_equal(trie_finish(trie, NULL), 0);
        assert_int_equal(forward_score(opened.forward, opened.weights, trie, results, NULL), 0);
        for (size_t i = 0; i < PROMPTS; i++) {
            double sum = 0.0;

            for (size_t t = 0; t < texts.written[i].n; t++) {
                sum += texts.loglikelihoods[i][t];
            }
            assert_true(results[i].greedy);
            assert_true(results[i].loglikelihood == sum);
        }
        trie_free(trie);
        texts_release(&texts);
        opened_close(&opened);
    }
    support_remove_dir(folder);
}

/* ---- company ---- */

static void few_lines_at_a_time_change_no_bit(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("gemma3"), 0);
    const struct config *config = checkpoint_config(opened.checkpoint);
    const size_t line = generate_line_bytes(config, LONGEST + NEW - 1);
    struct texts all;

    draw(&all);
    generate_all(&opened, &all);
    for (size_t n = 0; n < 5; n++) { /* with room for none there is one */
        struct forward *fresh = NULL;
        struct texts few;

        assert_int_equal(forward_new(&fresh, config, 0, NULL), 0);
        forward_free(opened.forward);
        opened.forward = fresh;
        generate_allow(opened.forward, n * line + 1);
        draw(&few);
        generate_all(&opened, &few);
        assert_same("gemma3", &few, &all);
        assert_int_equal(generate_bytes(config, PROMPTS, LONGEST + NEW - 1, n * line + 1),
                         (n > 0 ? n : 1) * line);
        texts_release(&few);
    }
    texts_release(&all);
    opened_close(&opened);
    support_remove_dir(folder);
}

static void a_line_ends_when_its_sink_says_so(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("llama"), 0);
    struct texts whole, cut;

    draw(&whole);
    draw(&cut);
    generate_all(&opened, &whole);
    cut.last = whole.written[0].ids[4];
    generate_all(&opened, &cut);
    for (size_t i = 0; i < PROMPTS; i++) {
        size_t n = 0;

        while (n < whole.written[i].n && whole.written[i].ids[n++] != cut.last) {
        }
        assert_int_equal(cut.written[i].n, n);
        assert_memory_equal(cut.written[i].ids, whole.written[i].ids, n * sizeof(uint32_t));
    }
    assert_true(cut.written[0].n <= 5);
    texts_release(&whole);
    texts_release(&cut);
    opened_close(&opened);
    support_remove_dir(folder);
}

static void a_step_computes_one_position_a_line(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("llama"), 0);
    struct trie *prompts = trie_new();
    struct texts texts;
    size_t steps = 0;

    draw(&texts);
    for (size_t i = 0; i < PROMPTS; i++) {
        assert_int_equal(
            trie_add(prompts, texts.all[i].tokens, texts.all[i].n, texts.all[i].n, true, NULL), 0);
        steps += texts.all[i].n_new - 1; /* the first is found with the prompt */
    }
    assert_int_equal(trie_finish(prompts, NULL), 0);
    generate_all(&opened, &texts);
    assert_int_equal(forward_positions(opened.forward), trie_positions(prompts) + steps);
    trie_free(prompts);
    texts_release(&texts);
    opened_close(&opened);
    support_remove_dir(folder);
}

/* ---- what can go wrong ---- */

static void refuses_lines_longer_than_the_rotary_scaling(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("phi3-longrope"), 0);
    struct texts texts;
    struct err err = {0};
    const struct generate_sink sink = {.take = write_down, .context = &texts};

    draw(&texts);
    texts.all[3].n_new = 100;
    assert_int_equal(generate(opened.forward, opened.weights, texts.all, PROMPTS, &sink, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.text, "rotary"));
    texts_release(&texts);
    opened_close(&opened);
    support_remove_dir(folder);
}

static void fails_when_weights_are_not_finite_and_works_again_after(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("llama"), 0);
    struct opened broken = opened_family(folder, family_model("llama"), 0);
    struct texts texts, again;
    struct err err = {0};
    const struct generate_sink sink = {.take = write_down, .context = &texts};

    draw(&texts);
    generate_all(&opened, &texts);
    const struct checkpoint_tensor *down = checkpoint_role(broken.checkpoint, TENSOR_DOWN, 1);
    float *values = mem_array(down->n_elements, sizeof(float));

    values[0] = INFINITY;
    assert_true(weights_fill(broken.weights, TENSOR_DOWN, 1, values, DTYPE_F32));
    free(values);
    assert_int_equal(generate(opened.forward, broken.weights, texts.all, PROMPTS, &sink, &err),
                     ERR_NUMERIC);
    draw(&again);
    generate_all(&opened, &again);
    assert_same("llama", &again, &texts);
    texts_release(&texts);
    texts_release(&again);
    opened_close(&broken);
    opened_close(&opened);
    support_remove_dir(folder);
}

static void says_so_when_there_is_no_memory(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct opened opened = opened_family(folder, family_model("llama"), 0);
    struct texts texts;
    struct err err = {0};
    const struct generate_sink sink = {.take = write_down, .context = &texts};
    int rc = ERR_MEMORY;

    for (long n = 0; rc != 0; n++) {
        draw(&texts);
        mem_fail_after(n);
        rc = generate(opened.forward, opened.weights, texts.all, PROMPTS, &sink, &err);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_MEMORY);
        assert_true(rc != 0 || texts.written[0].n == NEW);
        texts_release(&texts);
    }
    opened_close(&opened);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_writes_what_scoring_finds_most_likely),
        cmocka_unit_test(what_was_written_is_greedy_when_it_is_scored),
        cmocka_unit_test(few_lines_at_a_time_change_no_bit),
        cmocka_unit_test(a_line_ends_when_its_sink_says_so),
        cmocka_unit_test(a_step_computes_one_position_a_line),
        cmocka_unit_test(refuses_lines_longer_than_the_rotary_scaling),
        cmocka_unit_test(fails_when_weights_are_not_finite_and_works_again_after),
        cmocka_unit_test(says_so_when_there_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
