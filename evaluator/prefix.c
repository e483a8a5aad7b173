/*
 * prefix.c - activations behind a layer, kept for candidates that agree up to there.
 *
 * A stream is found by the digest of its candidate up to the layer, and its trie. Streams of the
 * candidate that runs are never dropped while it runs: the layers that it keeps are chosen so that
 * they fit.
 */
#include "evaluator/prefix.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BEGINNINGS 512 /* candidates before that are remembered by their first layer */

/* The residual stream [nodes, width] of a trie behind a layer. */
struct stream {
    unsigned char digest[DIGEST_SIZE];
    const struct trie *trie;
    size_t rows; /* that are there: complete when they are the trie's nodes */
    size_t bytes;
    uint64_t used; /* the last candidate that came by here */
    float *x;
};

/* How a candidate began: behind its first layer, and with which documents. */
struct beginning {
    unsigned char digest[DIGEST_SIZE];
    const struct trie *trie;
};

struct prefix {
    struct prefix_run run;
    uint64_t candidate; /* counts them */
    size_t n_kept;      /* layers of this candidate that there is room for; 0: keep nothing */
    size_t n_alone;     /* candidates in a row that shared nothing */
    size_t n_beginnings;
    struct beginning beginnings[BEGINNINGS]; /* a ring */
    uint64_t bytes;
    size_t n_streams, room_streams;
    struct stream *streams;
};

struct prefix *prefix_new(void)
{
    return mem_array(1, sizeof(struct prefix));
}

static void drop(struct prefix *prefix, struct stream *stream)
{
    prefix->bytes -= stream->bytes;
    free(stream->x);
    *stream = prefix->streams[--prefix->n_streams];
}

static void drop_all(struct prefix *prefix)
{
    while (prefix->n_streams > 0) {
        drop(prefix, &prefix->streams[prefix->n_streams - 1]);
    }
}

void prefix_free(struct prefix *prefix)
{
    if (prefix != NULL) {
        drop_all(prefix);
        free(prefix->streams);
        free(prefix);
    }
}

/* ---- what to keep ---- */

static bool began_before(const struct prefix *prefix, const struct beginning *beginning)
{
    size_t n = prefix->n_beginnings < BEGINNINGS ? prefix->n_beginnings : BEGINNINGS;

    for (size_t i = 0; i < n; i++) {
        const struct beginning *before = &prefix->beginnings[i];

        if (before->trie == beginning->trie &&
            memcmp(before->digest, beginning->digest, DIGEST_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* Count candidates that begin like none before; who shares a layer shares the first. */
static void note_beginning(struct prefix *prefix)
{
    struct beginning beginning = {.trie = prefix->run.tries[0]};

    memcpy(beginning.digest, prefix->run.digests[1], DIGEST_SIZE);
    if (began_before(prefix, &beginning)) {
        prefix->n_alone = 0;
        return;
    }
    prefix->n_alone++;
    prefix->beginnings[prefix->n_beginnings++ % BEGINNINGS] = beginning;
}

static size_t stream_bytes(const struct prefix *prefix, const struct trie *trie)
{
    return trie_positions(trie) * prefix->run.width * sizeof(float);
}

/* Layers of this candidate that there is room for, all tries together. */
static size_t count_room(const struct prefix *prefix)
{
    const struct prefix_run *run = &prefix->run;
    uint64_t layer = 0;

    for (size_t t = 0; t < run->n_tries; t++) {
        layer += stream_bytes(prefix, run->tries[t]);
    }
    uint64_t n = layer > 0 ? run->bytes / layer : 0;
    return n < run->n_layers ? (size_t)n : run->n_layers;
}

/* Drop what was not used for longest until so many bytes fit; false when they do not. */
static bool make_room(struct prefix *prefix, size_t bytes)
{
    while (prefix->bytes + bytes > prefix->run.bytes) {
        struct stream *oldest = NULL;

        for (size_t i = 0; i < prefix->n_streams; i++) {
            struct stream *stream = &prefix->streams[i];

            if (stream->used < prefix->candidate &&
                (oldest == NULL || stream->used < oldest->used)) {
                oldest = stream;
            }
        }
        if (oldest == NULL) {
            return false;
        }
        drop(prefix, oldest);
    }
    return true;
}

void prefix_begin(struct prefix *prefix, const struct prefix_run *run)
{
    prefix->run = *run;
    prefix->candidate++;
    prefix->n_kept = 0;
    if (run->n_tries > 0 && run->n_layers > 0) {
        note_beginning(prefix);
        prefix->n_kept = prefix->n_alone < PREFIX_ALONE_MAX ? count_room(prefix) : 0;
    }
    if (prefix->n_kept == 0) {
        drop_all(prefix);
    }
    make_room(prefix, 0);
}

/* True for n_kept of the layers, at even distances. */
static bool is_kept(const struct prefix *prefix, uint32_t n_layers)
{
    size_t parts = prefix->n_kept + 1;
    size_t of = (size_t)prefix->run.n_layers + 1;

    return prefix->n_kept > 0 && n_layers * parts / of > (n_layers - 1) * parts / of;
}

/* ---- streams ---- */

static struct stream *stream_at(const struct prefix *prefix, const struct trie *trie,
                                uint32_t n_layers)
{
    const unsigned char *digest = prefix->run.digests[n_layers];

    for (size_t i = 0; i < prefix->n_streams; i++) {
        struct stream *stream = &prefix->streams[i];

        if (stream->trie == trie && memcmp(stream->digest, digest, DIGEST_SIZE) == 0) {
            return stream;
        }
    }
    return NULL;
}

static bool is_of_run(const struct prefix *prefix, const struct trie *trie)
{
    for (size_t t = 0; t < prefix->run.n_tries; t++) {
        if (prefix->run.tries[t] == trie) {
            return true;
        }
    }
    return false;
}

/* The deepest; those on the way to it are in use too. */
static uint32_t find(void *context, const struct trie *trie, const float **x)
{
    struct prefix *prefix = context;
    uint32_t deepest = 0;

    if (prefix->n_streams == 0 || !is_of_run(prefix, trie)) {
        return 0;
    }
    for (uint32_t n = 1; n <= prefix->run.n_layers; n++) {
        struct stream *stream = stream_at(prefix, trie, n);

        if (stream != NULL && stream->rows == trie_positions(trie)) {
            stream->used = prefix->candidate;
            deepest = n;
            *x = stream->x;
        }
    }
    return deepest;
}

/* A stream with no rows yet; NULL when there is no room. */
static struct stream *add_stream(struct prefix *prefix, const struct trie *trie, uint32_t n_layers)
{
    struct stream stream = {
        .trie = trie, .bytes = stream_bytes(prefix, trie), .used = prefix->candidate};

    if (!make_room(prefix, stream.bytes)) {
        return NULL;
    }
    stream.x = mem_try_block(stream.bytes, 1, "kept activations", NULL);
    if (stream.x == NULL) {
        return NULL; /* what cannot be kept is computed again */
    }
    memcpy(stream.digest, prefix->run.digests[n_layers], DIGEST_SIZE);
    if (prefix->n_streams == prefix->room_streams) {
        prefix->room_streams += prefix->room_streams / 2 + 16;
        prefix->streams = mem_resize(prefix->streams, prefix->room_streams, sizeof(struct stream));
    }
    prefix->bytes += stream.bytes;
    prefix->streams[prefix->n_streams] = stream;
    return &prefix->streams[prefix->n_streams++];
}

static void keep(void *context, const struct trie *trie, uint32_t n_layers, size_t first, size_t n,
                 const float *x)
{
    struct prefix *prefix = context;
    size_t width = prefix->run.width;

    if (!is_kept(prefix, n_layers) || !is_of_run(prefix, trie)) {
        return;
    }
    struct stream *stream = stream_at(prefix, trie, n_layers);
    if (stream == NULL && first == 0) {
        stream = add_stream(prefix, trie, n_layers);
    }
    if (stream != NULL) {
        memcpy(stream->x + first * width, x, n * width * sizeof(float));
        stream->rows = first + n;
        stream->used = prefix->candidate;
    }
}

struct forward_keeper prefix_keeper(struct prefix *prefix)
{
    return (struct forward_keeper){.find = find, .keep = keep, .context = prefix};
}

uint64_t prefix_bytes(const struct prefix *prefix)
{
    return prefix->bytes;
}
