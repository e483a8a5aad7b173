/*
 * How fast the front door answers a worker, alone and among 200 connections that drip a byte now
 * and then and 200 that say nothing. The reference for the rate is a bare ping-pong of as many
 * bytes over a socket pair; for the hostile case it is the quiet case.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"
#include "web/http_client.h"
#include "web/server.h"

#define CALLS 20000
#define HOSTILE_CALLS 5000
#define DRIPPING 200
#define IDLE 200
#define BYTES 1024 /* about what a request and its answer take together, half each way */

struct shared {
    char url[64];
    char token[ACCESS_TOKEN_MAX];
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- the server ---- */

static void on_ask(struct exchange *exchange, void *context)
{
    json_t *doc = exchange_body(exchange);

    (void)context;
    if (doc != NULL) {
        json_decref(doc);
        exchange_reply(exchange, 200,
                       json_pack("{s:I, s:I}", "lease", (json_int_t)1, "candidate", (json_int_t)2));
    }
}

static const struct server_route routes[] = {
    {REQUEST_POST, "/v1/lease", ACCESS_HOLDER, 1 << 20, on_ask}};

static void serve(struct shared *shared, const char *token_file)
{
    struct event_base *base = event_base_new();
    struct server *server = NULL;
    const struct server_options options = {.listen = "127.0.0.1:0", .token_file = token_file};

    if (server_open(&server, base, &options, NULL) != 0) {
        _exit(1);
    }
    server_route(server, routes, 1, NULL);
    memcpy(shared->token, server_token(server), ACCESS_TOKEN_MAX);
    snprintf(shared->url, sizeof(shared->url), "%s", server_url(server));
    event_base_dispatch(base);
    _exit(0);
}

static pid_t start(void (*run)(struct shared *shared, const char *argument), struct shared *shared,
                   const char *argument)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(shared, argument);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- the hostile crowd ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Hold the connections for ever, dripping; one that is cut is opened again. */
static void pester(struct shared *shared, const char *argument)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    uint16_t port = (uint16_t)atoi(strrchr(shared->url, ':') + 1);
    int fds[DRIPPING + IDLE];

    (void)argument;
    memset(fds, -1, sizeof(fds));
    for (;;) {
        for (size_t i = 0; i < DRIPPING + IDLE; i++) {
            char byte;

            if (fds[i] >= 0 && recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0) {
                close(fds[i]); /* answered 408 or 503, or hung up on */
                fds[i] = -1;
            }
            if (fds[i] < 0) {
                fds[i] = dial(port);
                if (i < DRIPPING && fds[i] >= 0) {
                    send(fds[i], head, sizeof(head) - 1, MSG_NOSIGNAL);
                }
            } else if (i < DRIPPING) {
                send(fds[i], "a", 1, MSG_NOSIGNAL);
            }
        }
        poll(NULL, 0, 50);
    }
}

/* ---- measuring ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Latencies of n calls in milliseconds, sorted. Fresh connections if asked, as after a worker's
 * restart. */
static double *measure(const struct shared *shared, size_t n, bool fresh, double *seconds)
{
    struct http_client *client = NULL;
    struct text body = {0};
    double *ms = mem_array(n, sizeof(*ms));
    double begun = now_s();

    text_add(&body, "{\"worker_id\":1,\"seq\":1,\"wait_ms\":0}");
    const struct http_call call = {.method = "POST",
                                   .path = "/v1/lease",
                                   .body = &body,
                                   .reply_max = 1 << 20,
                                   .limit_ms = 10000};
    for (size_t i = 0; i < n; i++) {
        struct http_reply reply = {0};
        struct err err = {0};
        double at = now_s();

        if (client == NULL && http_client_open(&client, shared->url, shared->token, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        if (http_client_call(client, &call, &reply, &err) != 0 || reply.status != 200) {
            fprintf(stderr, "call %zu: %d %s\n", i, reply.status, err.text);
            exit(1);
        }
        ms[i] = 1e3 * (now_s() - at);
        http_reply_release(&reply);
        if (fresh) {
            http_client_close(client);
            client = NULL;
        }
    }
    *seconds = now_s() - begun;
    http_client_close(client);
    text_release(&body);
    qsort(ms, n, sizeof(*ms), ascending);
    return ms;
}

/* Round trips a second of BYTES / 2 each way between two processes. */
static double ping_pong(size_t n)
{
    int ends[2];
    char bytes[BYTES / 2] = {0};

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return 1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]); /* so that the other end's close is seen */
        while (recv(ends[1], bytes, sizeof(bytes), MSG_WAITALL) > 0) {
            send(ends[1], bytes, sizeof(bytes), MSG_NOSIGNAL);
        }
        _exit(0);
    }
    close(ends[1]);
    double begun = now_s();
    for (size_t i = 0; i < n; i++) {
        send(ends[0], bytes, sizeof(bytes), MSG_NOSIGNAL);
        recv(ends[0], bytes, sizeof(bytes), MSG_WAITALL);
    }
    double took = now_s() - begun;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return (double)n / took;
}

static double children_cpu_s(void)
{
    struct rusage use;

    getrusage(RUSAGE_CHILDREN, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

int main(void)
{
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *folder = support_temp_dir();
    char *token_file = file_join(folder, "t.token");
    double seconds = 0;

    signal(SIGPIPE, SIG_IGN);
    pid_t server = start(serve, shared, token_file);
    while (shared->url[0] == '\0') {
        poll(NULL, 0, 5);
    }
    double bare = ping_pong(CALLS);
    double *quiet = measure(shared, CALLS, false, &seconds);
    double rate = CALLS / seconds;
    printf("front_door_requests,%.0f,1/s,%.3f,bare ping-pong %.0f 1/s\n", rate, rate / bare, bare);

    pid_t crowd = start(pester, shared, NULL);
    poll(NULL, 0, 1000);
    double *kept = measure(shared, HOSTILE_CALLS, false, &seconds);
    double *fresh = measure(shared, HOSTILE_CALLS, true, &seconds);
    double calm_p99 = quiet[CALLS * 99 / 100];
    printf("front_door_p99_hostile,%.3f,ms,%.3f,quiet p99 %.3f ms\n",
           kept[HOSTILE_CALLS * 99 / 100], kept[HOSTILE_CALLS * 99 / 100] / calm_p99, calm_p99);
    printf("front_door_p99_hostile_connect,%.3f,ms,%.3f,quiet p99 %.3f ms\n",
           fresh[HOSTILE_CALLS * 99 / 100], fresh[HOSTILE_CALLS * 99 / 100] / calm_p99, calm_p99);
    end(crowd);
    double before = children_cpu_s();
    end(server);
    double cpu_us = 1e6 * (children_cpu_s() - before) / (CALLS + 2.0 * HOSTILE_CALLS);
    printf("front_door_cpu,%.1f,us,%.5f,a 20 ms evaluation\n", cpu_us, cpu_us / 20000);
    free(quiet);
    free(kept);
    free(fresh);
    free(token_file);
    munmap(shared, sizeof(*shared));
    support_remove_dir(folder);
    return 0;
}
