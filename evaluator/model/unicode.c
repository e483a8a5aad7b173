/*
 * unicode.c - UTF-8 by hand, categories from utf8proc.
 */
#include "evaluator/model/unicode.h"

#include <utf8proc.h>

size_t unicode_next(const char *text, size_t n, uint32_t *code)
{
    const unsigned char *at = (const unsigned char *)text;
    const uint32_t lead = at[0];

    if (lead < 0x80 || n < 2) {
        *code = lead;
        return 1;
    }
    if (lead < 0xE0 || n < 3) {
        *code = (lead & 0x1Fu) << 6 | (at[1] & 0x3Fu);
        return 2;
    }
    if (lead < 0xF0 || n < 4) {
        *code = (lead & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
        return 3;
    }
    *code = (lead & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
    return 4;
}

size_t unicode_last(const char *text, size_t n)
{
    size_t at = n - 1;

    while (at > 0 && ((unsigned char)text[at] & 0xC0u) == 0x80u) {
        at--;
    }
    return at;
}

size_t unicode_put(char out[4], uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0u | code >> 6);
        out[1] = (char)(0x80u | (code & 0x3Fu));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0u | code >> 12);
        out[1] = (char)(0x80u | (code >> 6 & 0x3Fu));
        out[2] = (char)(0x80u | (code & 0x3Fu));
        return 3;
    }
    out[0] = (char)(0xF0u | code >> 18);
    out[1] = (char)(0x80u | (code >> 12 & 0x3Fu));
    out[2] = (char)(0x80u | (code >> 6 & 0x3Fu));
    out[3] = (char)(0x80u | (code & 0x3Fu));
    return 4;
}

size_t unicode_count(const char *text, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        count += ((unsigned char)text[i] & 0xC0u) != 0x80u;
    }
    return count;
}

bool unicode_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool unicode_is_python_space(uint32_t code)
{
    return unicode_is_space(code) || (code >= 0x1C && code <= 0x1F);
}

size_t unicode_leading_space(const char *text, size_t n)
{
    size_t at = 0;
    uint32_t code = 0;

    while (at < n) {
        const size_t size = unicode_next(text + at, n - at, &code);

        if (!unicode_is_python_space(code)) {
            break;
        }
        at += size;
    }
    return at;
}

size_t unicode_without_trailing_space(const char *text, size_t n)
{
    uint32_t code = 0;

    while (n > 0) {
        const size_t at = unicode_last(text, n);

        unicode_next(text + at, n - at, &code);
        if (!unicode_is_python_space(code)) {
            break;
        }
        n = at;
    }
    return n;
}

bool unicode_is_numeric(uint32_t code)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);

    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool unicode_is_punctuation(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SM:
        return code < 0x80;
    default:
        return false;
    }
}

/* The symbols that Other_Alphabetic adds beyond letters and marks: circled and squared Latin
 * letters. */
static bool is_alphabetic_symbol(uint32_t code)
{
    return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
           (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
}

bool unicode_is_word(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return is_alphabetic_symbol(code) || code == 0x200C || code == 0x200D;
    }
}

/* How many bytes the sequence led by `lead` should take, and the range its second byte must be in.
 */
static size_t sequence_of(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

/* Bytes of the valid sequence at the front, or of the invalid part there (then *valid is false). */
static size_t part_at(const unsigned char *bytes, size_t n, bool *valid)
{
    unsigned char low;
    unsigned char high;
    const size_t wanted = sequence_of(bytes[0], &low, &high);
    size_t have = 1;

    while (have < wanted && have < n && bytes[have] >= low && bytes[have] <= high) {
        have++;
        low = 0x80;
        high = 0xBF;
    }
    *valid = have == wanted;
    return have;
}

void unicode_add_lossy(struct text *out, const char *bytes, size_t n)
{
    size_t at = 0;

    while (at < n) {
        bool valid = false;
        const size_t size = part_at((const unsigned char *)bytes + at, n - at, &valid);

        if (valid) {
            text_add_n(out, bytes + at, size);
        } else {
            text_add_n(out, "\xEF\xBF\xBD", 3);
        }
        at += size;
    }
}
