/*
 * progress.c - one live line on a terminal, plain lines elsewhere.
 */
#include "cli/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define PLAIN_EVERY_MS 10000

static void sink(const char *line, void *context)
{
    struct progress *progress = context;

    if (progress->terminal && progress->line[0] != '\0') {
        fprintf(stderr, "\r\033[K%s\n%s", line, progress->line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO) == 1, .printed_ms = INT64_MIN};
    log_set_sink(sink, progress);
}

void progress_show(struct progress *progress, int64_t now_ms, const char *format, ...)
{
    char line[sizeof(progress->line)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (strcmp(line, progress->line) == 0) {
        return;
    }
    if (progress->terminal) {
        fprintf(stderr, "\r\033[K%s", line);
    } else if (progress->printed_ms == INT64_MIN ||
               now_ms - progress->printed_ms >= PLAIN_EVERY_MS) {
        fprintf(stderr, "%s\n", line);
        progress->printed_ms = now_ms;
    }
    fflush(stderr);
    memcpy(progress->line, line, sizeof(line));
}

void progress_end(struct progress *progress)
{
    log_set_sink(NULL, NULL);
    if (progress->terminal && progress->line[0] != '\0') {
        fputc('\n', stderr);
    }
    progress->line[0] = '\0';
}

const char *progress_span(char out[32], double seconds)
{
    if (!isfinite(seconds) || seconds < 0) {
        snprintf(out, 32, "-");
    } else if (seconds < 100) {
        snprintf(out, 32, "%.0f s", seconds);
    } else if (seconds < 100 * 60) {
        snprintf(out, 32, "%.0f min", seconds / 60);
    } else {
        snprintf(out, 32, "%.0f h %02.0f min", floor(seconds / 3600),
                 floor(fmod(seconds, 3600) / 60));
    }
    return out;
}
