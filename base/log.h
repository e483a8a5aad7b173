/*
 * log.h - one line an event, to standard error:
 *
 *   2026-01-31T10:22:07.114Z info search generation done study=demo gen=12 best=0.613
 *
 * From cli, web, coordinator's caller and worker only; rooms below return errors instead.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above this level are dropped; the start is LOG_LEVEL_INFO, or
 * BRAID_LOG=error|warn|info|debug. */
void log_set_level(enum log_level level);

/* Called with each finished line instead of writing it, so that a live progress line can step
 * aside; NULL: stderr. */
void log_set_sink(void (*sink)(const char *line, void *context), void *context);

void log_error(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
