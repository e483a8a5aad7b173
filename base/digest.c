/*
 * digest.c - SHA-256 through libcrypto, which uses the CPU's own instructions where it has them.
 *
 * libcrypto fails here only when memory is gone, and then the process ends as for any small
 * allocation; so nothing in this file can fail for the caller.
 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct digest {
    EVP_MD_CTX *context;
};

static void must(int ok)
{
    if (ok != 1) {
        fprintf(stderr, "braid: SHA-256 is not available\n");
        abort();
    }
}

struct digest *digest_new(void)
{
    struct digest *digest = mem_alloc(sizeof *digest);

    digest->context = EVP_MD_CTX_new();
    must(digest->context != NULL);
    must(EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL));
    return digest;
}

void digest_add(struct digest *digest, const void *bytes, size_t n)
{
    must(EVP_DigestUpdate(digest->context, bytes, n));
}

void digest_add_u64(struct digest *digest, uint64_t value)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(value >> 8 * i);
    }
    digest_add(digest, bytes, sizeof bytes);
}

void digest_add_text(struct digest *digest, const char *text)
{
    size_t size = strlen(text);

    digest_add_u64(digest, size);
    digest_add(digest, text, size);
}

void digest_end(struct digest *digest, unsigned char out[DIGEST_SIZE])
{
    must(EVP_DigestFinal_ex(digest->context, out, NULL));
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void digest_end_hex(struct digest *digest, char out[DIGEST_HEX])
{
    unsigned char bytes[DIGEST_SIZE];

    digest_end(digest, bytes);
    digest_to_hex(bytes, out);
}

void digest_of(const void *bytes, size_t n, unsigned char out[DIGEST_SIZE])
{
    must(EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL));
}

void digest_hex_of(const void *bytes, size_t n, char out[DIGEST_HEX])
{
    unsigned char made[DIGEST_SIZE];

    digest_of(bytes, n, made);
    digest_to_hex(made, out);
}

void digest_to_hex(const unsigned char in[DIGEST_SIZE], char out[DIGEST_HEX])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        out[2 * i] = hex[in[i] >> 4];
        out[2 * i + 1] = hex[in[i] & 15];
    }
    out[2 * DIGEST_SIZE] = '\0';
}

bool digest_is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == DIGEST_HEX - 1 && text[DIGEST_HEX - 1] == '\0';
}

static unsigned hex_value(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

bool digest_from_hex(unsigned char out[DIGEST_SIZE], const char *text)
{
    if (!digest_is_hex(text)) {
        return false;
    }
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        out[i] = (unsigned char)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    }
    return true;
}
