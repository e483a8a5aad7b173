#include "search/snapshot.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

#define FINITE_MAX 1e200

/* The eight bytes in front: the letters, zeros, and the version 1. */
static void fill_head(unsigned char head[8], const char *magic)
{
    assert(strlen(magic) <= SNAPSHOT_MAGIC);
    memset(head, 0, 8);
    for (size_t i = 0; magic[i] != '\0'; i++) {
        head[i] = (unsigned char)magic[i];
    }
    head[SNAPSHOT_MAGIC] = 1;
}

bool snapshot_has_magic(const char *magic, const unsigned char *bytes, size_t n)
{
    unsigned char head[8];

    fill_head(head, magic);
    return n >= sizeof head && memcmp(bytes, head, sizeof head) == 0;
}

/* Eight more bytes to write to. */
static unsigned char *extend(struct snapshot *s)
{
    if (s->n + 8 > s->room) {
        s->room = s->room == 0 ? 256 : 2 * s->room;
        s->bytes = mem_resize(s->bytes, s->room, 1);
    }
    s->n += 8;
    return s->bytes + s->n - 8;
}

void snapshot_write(struct snapshot *out, const char *magic)
{
    *out = (struct snapshot){0};
    fill_head(extend(out), magic);
}

void snapshot_read(struct snapshot *out, const char *magic, const unsigned char *bytes, size_t n)
{
    *out = (struct snapshot){.reading = true, .bytes = (unsigned char *)bytes, .n = n, .at = 8};
    out->bad = !snapshot_has_magic(magic, bytes, n); /* never written to while reading */
}

static void pass(struct snapshot *s, uint64_t *value)
{
    if (!s->reading) {
        unsigned char *at = extend(s);

        for (int i = 0; i < 8; i++) {
            at[i] = (unsigned char)(*value >> 8 * i);
        }
        return;
    }
    *value = 0;
    s->bad = s->bad || s->n - s->at < 8;
    if (!s->bad) {
        for (int i = 8; i-- > 0;) {
            *value = *value << 8 | s->bytes[s->at + (size_t)i];
        }
        s->at += 8;
    }
}

void snapshot_expect(struct snapshot *s, bool holds)
{
    assert(s->reading || holds);
    s->bad = s->bad || !holds;
}

void snapshot_count(struct snapshot *s, uint64_t *value, uint64_t most)
{
    pass(s, value);
    snapshot_expect(s, *value <= most);
    *value = s->bad ? 0 : *value;
}

void snapshot_size(struct snapshot *s, size_t *value, size_t least, size_t most)
{
    uint64_t wide = *value;

    pass(s, &wide);
    snapshot_expect(s, wide >= least && wide <= most);
    *value = s->bad ? least : (size_t)wide;
}

void snapshot_flag(struct snapshot *s, bool *value)
{
    uint64_t wide = *value;

    snapshot_count(s, &wide, 1);
    *value = wide == 1;
}

void snapshot_any(struct snapshot *s, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;

        memcpy(&bits, values + i, sizeof bits);
        pass(s, &bits);
        memcpy(values + i, &bits, sizeof bits);
    }
}

void snapshot_doubles(struct snapshot *s, double *values, size_t n)
{
    snapshot_any(s, values, n);
    for (size_t i = 0; i < n && s->reading; i++) {
        snapshot_expect(s, !isnan(values[i]));
    }
}

void snapshot_finite(struct snapshot *s, double *values, size_t n)
{
    snapshot_any(s, values, n);
    for (size_t i = 0; i < n && s->reading; i++) {
        snapshot_expect(s, fabs(values[i]) <= FINITE_MAX);
    }
}

/* The length, then the bytes padded with zeros to whole values. */
void snapshot_inner(struct snapshot *s, unsigned char **bytes, size_t *n)
{
    snapshot_size(s, n, 0, SIZE_MAX / 2);
    if (s->reading) {
        s->bad = s->bad || *n > s->n - s->at;
        *n = s->bad ? 0 : *n;
        *bytes = s->bytes + s->at;
        s->at += (*n + 7) / 8 * 8;
        s->bad = s->bad || s->at > s->n;
        s->at = s->bad ? s->n : s->at;
        return;
    }
    for (size_t at = 0; at < *n; at += 8) {
        size_t left = *n - at < 8 ? *n - at : 8;
        unsigned char *to = extend(s);

        memset(to, 0, 8);
        memcpy(to, *bytes + at, left);
    }
}

bool snapshot_holds(const struct snapshot *s, size_t n)
{
    return !s->bad && n <= (s->n - s->at) / 8;
}

void snapshot_take(struct snapshot *s, unsigned char **bytes, size_t *n)
{
    *bytes = s->bytes;
    *n = s->n;
    *s = (struct snapshot){0};
}

int snapshot_end(const struct snapshot *s, const char *what, struct err *err)
{
    if (s->bad || s->at != s->n) {
        return err_set(err, ERR_FORMAT, "optimiser state: not one of %s that was saved here", what);
    }
    return 0;
}
