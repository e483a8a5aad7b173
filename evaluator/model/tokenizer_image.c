/*
 * tokenizer_image.c - sections behind a header.
 */
#include "evaluator/model/tokenizer_image.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/digest.h"

#define ALIGN 8u

enum section { PARTS, TEXTS, TOKENS, WORD_SLOTS, MERGES, PAIR_SLOTS, ADDED, SECTIONS };

static const size_t widths[SECTIONS] = {
    [PARTS] = 1,
    [TEXTS] = 1,
    [TOKENS] = sizeof(struct vocab_token),
    [WORD_SLOTS] = sizeof(uint32_t),
    [MERGES] = sizeof(struct merge),
    [PAIR_SLOTS] = sizeof(uint32_t),
    [ADDED] = sizeof(struct added_row),
};

struct header {
    char magic[8];
    uint32_t order, version;
    unsigned char digest[DIGEST_SIZE];
    struct {
        uint64_t at, n;
    } sections[SECTIONS];
};

#define DIGESTED_FROM (offsetof(struct header, sections))

_Static_assert(sizeof(struct header) == 160, "the header has no gaps");
_Static_assert(sizeof(struct vocab_token) == 8 && sizeof(struct merge) == 12 &&
                   sizeof(struct added_row) == 16,
               "entries have no gaps");

static struct header header_now(void)
{
    return (struct header){.magic = {'b', 'r', 'a', 'i', 'd', 't', 'o', 'k'},
                           .order = IMAGE_ORDER,
                           .version = IMAGE_VERSION};
}

/* ---- writing ---- */

void image_write(struct text *out, const struct image *image)
{
    const struct {
        const void *data;
        size_t n;
    } sections[SECTIONS] = {
        [PARTS] = {image->parts, image->n_parts},
        [TEXTS] = {image->vocab.texts, image->vocab.n_texts},
        [TOKENS] = {image->vocab.tokens, image->vocab.n},
        [WORD_SLOTS] = {image->vocab.slots, image->vocab.n_slots},
        [MERGES] = {image->merges.all, image->merges.n},
        [PAIR_SLOTS] = {image->merges.slots, image->merges.n_slots},
        [ADDED] = {image->added, image->n_added},
    };
    static const char zeros[ALIGN];
    struct header header = header_now();
    size_t at = sizeof header;

    assert(out->size == 0);
    for (size_t i = 0; i < SECTIONS; i++) {
        header.sections[i].at = at;
        header.sections[i].n = sections[i].n;
        at += (sections[i].n * widths[i] + ALIGN - 1) / ALIGN * ALIGN;
    }
    text_add_n(out, (const char *)&header, sizeof header);
    for (size_t i = 0; i < SECTIONS; i++) {
        if (sections[i].n > 0) {
            text_add_n(out, sections[i].data, sections[i].n * widths[i]);
        }
        text_add_n(out, zeros, (ALIGN - out->size % ALIGN) % ALIGN);
    }
    assert(out->size == at);
}

/* ---- keeping ---- */

static void digest_kept(unsigned char out[DIGEST_SIZE], const char *bytes, size_t n,
                        const char *name)
{
    struct digest *digest = digest_new();

    digest_add_text(digest, name);
    digest_add(digest, bytes + DIGESTED_FROM, n - DIGESTED_FROM);
    digest_end(digest, out);
}

void image_seal(char *bytes, size_t n, const char *name)
{
    assert(n >= sizeof(struct header));
    digest_kept((unsigned char *)bytes + offsetof(struct header, digest), bytes, n, name);
}

bool image_is_sealed(const void *bytes, size_t n, const char *name)
{
    struct header header = header_now();

    if (n < sizeof header) {
        return false;
    }
    digest_kept(header.digest, bytes, n, name);
    return memcmp(bytes, &header, DIGESTED_FROM) == 0;
}

/* ---- reading ---- */

/* Where a section begins, or NULL when it is not inside bytes [n]. */
static const void *section(const void *bytes, size_t n, enum section which, size_t *entries)
{
    const struct header *header = bytes;
    const uint64_t at = header->sections[which].at;

    if (at % ALIGN != 0 || at < sizeof *header || at > n ||
        header->sections[which].n > (n - at) / widths[which]) {
        return NULL;
    }
    *entries = (size_t)header->sections[which].n;
    return (const char *)bytes + at;
}

int image_read(struct image *out, const void *bytes, size_t n, struct err *err)
{
    const struct header wanted = header_now();
    const void *at[SECTIONS];
    size_t entries[SECTIONS];

    if (n < sizeof wanted || memcmp(bytes, &wanted, offsetof(struct header, digest)) != 0) {
        return err_set(err, ERR_FORMAT, "no image of a tokenizer of version %u", IMAGE_VERSION);
    }
    assert((uintptr_t)bytes % ALIGN == 0);
    for (int i = 0; i < SECTIONS; i++) {
        at[i] = section(bytes, n, (enum section)i, &entries[i]);
        if (at[i] == NULL) {
            return err_set(err, ERR_FORMAT, "section %d of the image is outside it", i);
        }
    }
    const struct image made = {
        .parts = at[PARTS],
        .n_parts = entries[PARTS],
        .vocab = {at[TEXTS], entries[TEXTS], at[TOKENS], entries[TOKENS], at[WORD_SLOTS],
                  entries[WORD_SLOTS]},
        .merges = {at[MERGES], entries[MERGES], at[PAIR_SLOTS], entries[PAIR_SLOTS]},
        .added = at[ADDED],
        .n_added = entries[ADDED],
    };

    if (!vocab_view_sound(&made.vocab) || !merges_sound(&made.merges, made.vocab.n)) {
        return err_set(err, ERR_FORMAT, "a table of the image points outside it");
    }
    *out = made;
    return 0;
}
