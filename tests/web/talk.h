/*
 * talk.h - a client for tests of the server: raw bytes over a real socket, the event loop turned by
 * hand in between, all in one process.
 */
#ifndef TESTS_WEB_TALK_H
#define TESTS_WEB_TALK_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

static inline int64_t talk_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline uint16_t talk_port(const char *url)
{
    return (uint16_t)atoi(strrchr(url, ':') + 1);
}

static inline int talk_dial(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void talk_turn(struct event_base *base)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Turn the loop and read for up to ms, or until the answer holds `until`; true when the server has
 * closed. */
static inline bool talk_listen(struct event_base *base, int fd, const char *until, int64_t ms,
                               struct text *out)
{
    int64_t end = talk_now_ms() + ms;
    char bytes[65536];

    while (talk_now_ms() < end) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        talk_turn(base);
        if (poll(&ready, 1, 1) <= 0) {
            continue;
        }
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n <= 0) {
            return true;
        }
        text_add_n(out, bytes, (size_t)n);
        if (until != NULL && strstr(text_get(out), until) != NULL) {
            return false;
        }
    }
    return false;
}

static inline void talk_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Send text on a fresh connection and give the whole answer, read until the server closes; free()
 * it. */
static inline char *talk_ask(struct event_base *base, uint16_t port, const char *text)
{
    struct text answer = {0};
    int fd = talk_dial(port);

    talk_send(fd, text);
    bool closed = talk_listen(base, fd, NULL, 3000, &answer);
    close(fd);
    talk_turn(base);
    assert_true(closed);
    return answer.data != NULL ? text_take(&answer) : mem_text("");
}

#endif
