/*
 * bench_tokenizer.c - a tokenizer of 128 000 words: loaded, and at work.
 *
 *   name,value,unit,ratio,reference
 *
 *   tokenizer_compiled    its files read and compiled, as the first time. Reference: the time that
 * a JSON document of tokenizer.json takes alone (jansson), before any table tokenizer_cached found
 * in the cache. References: the document, and compiling tokenizer_encode      bytes of text to ids,
 * each word remembered or merged. Reference: the same text only cut into words tokenizer_merge the
 * same for text whose words do not come again
 *
 * A ratio is how many times as fast as the reference. CPU time of the process, turns taken with the
 * references; medians of seven.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/rng.h"
#include "evaluator/model/pretokenize.h"
#include "evaluator/model/tokenizer.h"
#include "tests/bench/measure.h"
#include "tests/support/large_tokenizer.h"
#include "tests/support/support.h"

#define TURNS 7
#define WORDS 128000
#define TEXT_BYTES ((size_t)4 << 20)

static double time_of_document(const char *folder)
{
    char *path = file_join(folder, "tokenizer.json");
    const double began = measure_cpu();
    json_t *json = NULL;
    struct err err;

    measure_must(doc_load(&json, path, (size_t)256 << 20, &err), &err);
    json_decref(json);
    free(path);
    return measure_cpu() - began;
}

/* cache: where it is kept; a folder that cannot be made for none. */
static double time_of_load(const char *folder, const char *cache)
{
    struct tokenizer *tokenizer = NULL;
    struct err err;

    setenv("XDG_CACHE_HOME", cache, 1);
    const double began = measure_cpu();

    measure_must(tokenizer_open(&tokenizer, folder, &err), &err);
    tokenizer_close(tokenizer);
    return measure_cpu() - began;
}

static void bench_load(const char *folder, const char *cache)
{
    double document[TURNS];
    double compiled[TURNS];
    double cached[TURNS];

    time_of_load(folder, cache);
    for (int turn = 0; turn < TURNS; turn++) {
        document[turn] = time_of_document(folder);
        compiled[turn] = time_of_load(folder, "/dev/null/none");
        cached[turn] = time_of_load(folder, cache);
    }
    const double d = measure_median(document, TURNS);
    const double c = measure_median(compiled, TURNS);
    const double k = measure_median(cached, TURNS);

    printf("tokenizer_compiled,%.1f,ms,%.2f,a JSON document alone\n", 1e3 * c, d / c);
    printf("tokenizer_cached,%.1f,ms,%.1f,a JSON document alone\n", 1e3 * k, d / k);
    printf("tokenizer_cached,%.1f,ms,%.1f,compiled\n", 1e3 * k, c / k);
}

/* A line at a time, as documents are. Returns seconds. */
static double time_of_words(struct pretokenizer *pretokenizer, const struct text *text)
{
    struct pieces words = {0};
    struct err err;
    const double began = measure_cpu();

    for (const char *at = text_get(text); *at != '\0';) {
        const size_t n = strcspn(at, "\n") + 1;

        pieces_clear(&words);
        measure_must(pretokenizer_run(pretokenizer, at, n, true, &words, &err), &err);
        at += n;
    }
    pieces_release(&words);
    return measure_cpu() - began;
}

static double time_of_ids(struct tokenizer *tokenizer, const struct text *text)
{
    struct tokens ids = {0};
    struct err err;
    const double began = measure_cpu();

    for (const char *at = text_get(text); *at != '\0';) {
        const size_t n = strcspn(at, "\n") + 1;

        tokens_clear(&ids);
        measure_must(tokenizer_encode(tokenizer, at, n, TOKENIZER_PLAIN, &ids, &err), &err);
        at += n;
    }
    tokens_release(&ids);
    return measure_cpu() - began;
}

static struct pretokenizer *pretokenizer_of(const char *folder)
{
    char *path = file_join(folder, "tokenizer.json");
    struct pretokenizer *made = NULL;
    json_t *json = NULL;
    struct err err;

    measure_must(doc_load(&json, path, (size_t)256 << 20, &err), &err);
    measure_must(pretokenizer_parse(&made, json_object_get(json, "pre_tokenizer"), &err), &err);
    json_decref(json);
    free(path);
    return made;
}

static void bench_encode(const char *folder, const char *name, const struct text *text)
{
    struct pretokenizer *pretokenizer = pretokenizer_of(folder);
    struct tokenizer *tokenizer = NULL;
    double words[TURNS];
    double ids[TURNS];
    struct err err;

    measure_must(tokenizer_open(&tokenizer, folder, &err), &err);
    for (int turn = 0; turn < TURNS; turn++) {
        words[turn] = time_of_words(pretokenizer, text);
        ids[turn] = time_of_ids(tokenizer, text);
    }
    const double w = measure_median(words, TURNS);
    const double i = measure_median(ids, TURNS);

    printf("%s,%.1f,MB/s,%.2f,cut into words alone\n", name, (double)text->size / i / 1e6, w / i);
    tokenizer_close(tokenizer);
    pretokenizer_free(pretokenizer);
}

/* Words of any letters. */
static void add_rare(struct text *out)
{
    struct rng32 rng;

    rng32_seed(&rng, 3, RNG_SHUFFLE);
    while (out->size < TEXT_BYTES) {
        const uint32_t n = 3 + rng32_below(&rng, 8);

        for (uint32_t i = 0; i < n; i++) {
            text_add_char(out, (char)('a' + rng32_below(&rng, 26)));
        }
        text_add(out, rng32_below(&rng, 20) == 0 ? "\n" : " ");
    }
}

int main(void)
{
    char *folder = support_temp_dir();
    char *cache = support_temp_dir();
    struct text json = {0};
    struct text usual = {0};
    struct text rare = {0};

    large_tokenizer_print(&json, WORDS, 1);
    support_write_bytes(folder, "tokenizer.json", text_get(&json), json.size);
    large_tokenizer_text(&usual, TEXT_BYTES, 1);
    add_rare(&rare);
    bench_load(folder, cache);
    bench_encode(folder, "tokenizer_encode", &usual);
    bench_encode(folder, "tokenizer_merge", &rare);
    text_release(&rare);
    text_release(&usual);
    text_release(&json);
    support_remove_dir(cache);
    support_remove_dir(folder);
    return 0;
}
