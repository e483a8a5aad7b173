/*
 * log.c - events as lines; each goes out in one write, so that lines of several processes that
 * share one standard error do not mix.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_MAX_BYTES 4096

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static enum log_level level_max = LOG_LEVEL_INFO;
static bool level_is_known; /* set by a call or read from the environment */

static void (*line_sink)(const char *line, void *context);
static void *sink_context;

void log_set_level(enum log_level level)
{
    level_max = level;
    level_is_known = true;
}

void log_set_sink(void (*sink)(const char *line, void *context), void *context)
{
    line_sink = sink;
    sink_context = context;
}

static void read_environment(void)
{
    const char *wanted = getenv("BRAID_LOG");

    level_is_known = true;
    for (size_t i = 0; wanted != NULL && i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            level_max = (enum log_level)i;
        }
    }
}

static void add_time(struct text *line)
{
    struct timespec now;
    struct tm parts;
    char date[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    text_printf(line, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

/* Out to whoever listens; a standard error that is full or closed is nobody's failure. */
static void put(struct text *line)
{
    if (line_sink != NULL) {
        line_sink(text_get(line), sink_context);
        return;
    }
    text_add_char(line, '\n');

    ssize_t written = write(STDERR_FILENO, line->data, line->size);
    (void)written;
}

static void write_event(enum log_level level, const char *room, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_event(enum log_level level, const char *room, const char *format, va_list args)
{
    char event[LINE_MAX_BYTES];
    struct text line = {0};

    if (!level_is_known) {
        read_environment();
    }
    if (level > level_max) {
        return;
    }
    vsnprintf(event, sizeof event, format, args);
    for (char *c = event; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = ' ';
        }
    }
    add_time(&line);
    text_printf(&line, " %s %s %s", level_names[level], room, event);
    put(&line);
    text_release(&line);
}

void log_error(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_LEVEL_ERROR, room, format, args);
    va_end(args);
}

void log_warn(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_LEVEL_WARN, room, format, args);
    va_end(args);
}

void log_info(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_LEVEL_INFO, room, format, args);
    va_end(args);
}

void log_debug(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_LEVEL_DEBUG, room, format, args);
    va_end(args);
}
