/*
 * digest.h - SHA-256, the identity of files and recipes (libcrypto).
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX 65 /* 64 lower-case hex digits and the terminator */

struct digest; /* a running SHA-256 */

struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *bytes, size_t n);
/* Little-endian, eight bytes; keeps fields apart. */
void digest_add_u64(struct digest *digest, uint64_t value);
/* Length, then bytes: two texts in a row cannot be confused with another split of them. */
void digest_add_text(struct digest *digest, const char *text);
/* Finish, free, and give the result. */
void digest_end(struct digest *digest, unsigned char out[DIGEST_SIZE]);
void digest_end_hex(struct digest *digest, char out[DIGEST_HEX]);

/* In one go. */
void digest_of(const void *bytes, size_t n, unsigned char out[DIGEST_SIZE]);
void digest_hex_of(const void *bytes, size_t n, char out[DIGEST_HEX]);
void digest_to_hex(const unsigned char in[DIGEST_SIZE], char out[DIGEST_HEX]);
/* False unless text is exactly 64 lower-case hex digits. */
bool digest_is_hex(const char *text);
bool digest_from_hex(unsigned char out[DIGEST_SIZE], const char *text);

#endif
