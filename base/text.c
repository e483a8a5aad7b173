/*
 * text.c - a string that grows, and small jobs on strings: numbers, spelling, UTF-8, base64.
 */
#include "base/text.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CAPACITY_FIRST 64
#define DISTANCE_BYTES_MAX 64

/* Room for n more bytes and the terminator. */
static void reserve(struct text *text, size_t n)
{
    size_t needed = text->size + n + 1;

    assert(needed > n);
    if (needed <= text->capacity) {
        return;
    }
    size_t capacity = text->capacity > 0 ? text->capacity : CAPACITY_FIRST;

    while (capacity < needed) {
        capacity = capacity <= SIZE_MAX / 2 ? capacity * 2 : needed;
    }
    text->data = mem_resize(text->data, capacity, 1);
    text->data[text->size] = '\0';
    text->capacity = capacity;
}

void text_add(struct text *text, const char *s)
{
    text_add_n(text, s, strlen(s));
}

void text_add_n(struct text *text, const char *s, size_t n)
{
    reserve(text, n);
    if (n > 0) {
        memcpy(text->data + text->size, s, n);
    }
    text->size += n;
    text->data[text->size] = '\0';
}

void text_add_char(struct text *text, char c)
{
    text_add_n(text, &c, 1);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(length >= 0);

    reserve(text, (size_t)length);
    va_start(args, format);
    vsnprintf(text->data + text->size, (size_t)length + 1, format, args);
    va_end(args);
    text->size += (size_t)length;
}

/*
 * Fifteen digits survive decimal -> binary64 -> decimal, seventeen survive binary64 -> decimal ->
 * binary64, so a normal number needs 15, 16 or 17; %g drops trailing zeros of a shorter one.
 * Subnormal numbers have fewer bits and may need as little as one digit.
 */
void text_add_double(struct text *text, double value, bool dotted)
{
    char digits[40];
    int precision = fabs(value) < DBL_MIN ? 1 : 15;

    assert(isfinite(value));
    do {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
    } while (strtod(digits, NULL) != value && precision++ < 17);

    size_t mantissa = strcspn(digits, "e");
    bool has_dot = memchr(digits, '.', mantissa) != NULL;

    text_add_n(text, digits, mantissa);
    if (dotted && !has_dot) {
        text_add(text, ".0");
    }
    text_add(text, digits + mantissa);
}

const char *text_get(const struct text *text)
{
    return text->data != NULL ? text->data : "";
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

char *text_take(struct text *text)
{
    char *data = text->data != NULL ? text->data : mem_text("");

    *text = (struct text){0};
    return data;
}

void text_release(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Row by row over the matrix of Wagner and Fischer 1974; cost[j] is the row above left of the pen.
 */
size_t text_distance(const char *a, const char *b)
{
    size_t a_size = strnlen(a, DISTANCE_BYTES_MAX);
    size_t b_size = strnlen(b, DISTANCE_BYTES_MAX);
    size_t cost[DISTANCE_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_size; j++) {
        cost[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = cost[0];

        cost[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = cost[j];
            cost[j] = least(change, least(cost[j], cost[j - 1]) + 1);
        }
    }
    return cost[b_size];
}

const char *text_nearest(const char *word, const char *const *names, size_t n)
{
    size_t third = strnlen(word, DISTANCE_BYTES_MAX) / 3;
    size_t limit = third > 2 ? third : 2;
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t distance = text_distance(word, names[i]);

        if (distance < limit || (distance == limit && nearest == NULL)) {
            limit = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

/* Bytes of the character at s, or 0 when it is malformed (Unicode 15, table 3-7). */
static size_t character_size(const unsigned char *s, size_t n)
{
    static const unsigned char least_second[5] = {0, 0, 0x80, 0xA0, 0x90};
    unsigned char lead = s[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    if (size <= 1) {
        return size;
    }
    if (lead > 0xF4 || size > n) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (lead == 0xE0 || lead == 0xF0) && s[1] < least_second[size];
    bool surrogate = lead == 0xED && s[1] >= 0xA0;
    bool too_large = lead == 0xF4 && s[1] >= 0x90;

    return overlong || surrogate || too_large ? 0 : size;
}

/* Eight bytes below 0x80. */
static bool is_ascii_word(const unsigned char *s)
{
    uint64_t word;

    memcpy(&word, s, sizeof word);
    return (word & 0x8080808080808080u) == 0;
}

bool text_is_utf8(const char *bytes, size_t n, size_t *at)
{
    const unsigned char *s = (const unsigned char *)bytes;

    for (size_t i = 0; i < n;) {
        while (n - i >= 8 && is_ascii_word(s + i)) {
            i += 8;
        }
        if (i == n) {
            break;
        }
        size_t size = character_size(s + i, n - i);

        if (size == 0) {
            if (at != NULL) {
                *at = i;
            }
            return false;
        }
        i += size;
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_add_base64(struct text *text, const void *bytes, size_t n)
{
    const unsigned char *in = bytes;

    reserve(text, (n + 2) / 3 * 4);
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        unsigned group = (unsigned)in[i] << 16;

        group |= left > 1 ? (unsigned)in[i + 1] << 8 : 0;
        group |= left > 2 ? (unsigned)in[i + 2] : 0;

        char quad[4] = {base64_digits[group >> 18], base64_digits[group >> 12 & 63],
                        left > 1 ? base64_digits[group >> 6 & 63] : '=',
                        left > 2 ? base64_digits[group & 63] : '='};

        text_add_n(text, quad, sizeof quad);
    }
}

/* The value of a base64 digit, or 64 for anything else. */
static unsigned base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

size_t text_from_base64(void *out, const char *text, size_t n)
{
    unsigned char *to = out;
    size_t size = 0;
    size_t padding = 0;

    if (n % 4 != 0) {
        return SIZE_MAX;
    }
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=') {
        padding++;
    }
    for (size_t i = 0; i < n; i += 4) {
        size_t pads = i + 4 == n ? padding : 0;
        unsigned group = 0;

        for (size_t j = 0; j < 4; j++) {
            unsigned value = j < 4 - pads ? base64_value(text[i + j]) : 0;

            if (value > 63) {
                return SIZE_MAX;
            }
            group = group << 6 | value;
        }
        /* Bits that no byte holds must be zero, or one value would have several spellings. */
        if ((group & ((1U << 8 * pads) - 1)) != 0) {
            return SIZE_MAX;
        }
        for (size_t j = 0; j < 3 - pads; j++) {
            to[size++] = (unsigned char)(group >> (16 - 8 * j));
        }
    }
    return size;
}
