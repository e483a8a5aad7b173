/*
 * progress.h - one live line on a terminal, plain lines elsewhere.
 *
 * On a terminal the line is rewritten in place, log lines step in front of it. Elsewhere a line is
 * printed when it says something new and the last is at least ten seconds old.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    int64_t printed_ms;
    char line[256]; /* what stands on the terminal now */
};

/* Takes over the log's sink until progress_end. */
void progress_begin(struct progress *progress);
void progress_show(struct progress *progress, int64_t now_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Leave the last line standing and end it. */
void progress_end(struct progress *progress);

/* "12 s", "3 min", "2 h 05 min" in a static buffer of the caller. */
const char *progress_span(char out[32], double seconds);

#endif
