/* SPDX-License-Identifier: MIT
 *
 * server.c - statistics over HTTP: / is a page with live charts, /stats.json what it reads, /metrics for Prometheus
 *
 * usage: metrics_server [PORT]. It listens on 127.0.0.1 (0, the default: a free port, which it prints), and ends with its input.
 * One request at a time; something to look at is made beside it. A server of one's own needs handle() and page.html.
 */
#include <wane/observe.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "metrics_page.h"

/* ---- Something to look at: trees that come and go, some of them with cycles ---------------------------------------------- */

struct tree {
    wane_slot left, right, parent;
};
WANE_TYPE(tree, left, right, parent);

static wane_slot   forest[64];
static atomic_bool ends;

static struct tree *
grow(int depth)
{
    struct tree *t = wane_new(&tree_type), *child;

    if (!t || !depth)
        return t;
    child = grow(depth - 1);
    wane_put(&t->right, grow(depth - 1));
    if (child) {
        wane_set(&child->parent, t);
        wane_put(&t->left, child);
    }
    return t;
}

static void *
work(void *unused)
{
    for (unsigned i = 0; !atomic_load(&ends); i++) {
        wane_put(&forest[i * 2654435761u >> 26], grow(3 + (int)(i / 300 % 6)));
        nanosleep(&(struct timespec){0, 3000000}, NULL);
    }
    return unused;
}

/* ---- HTTP ---------------------------------------------------------------------------------------------------------------- */

static int
write_all(int fd, const void *data, size_t bytes)
{
    for (const char *p = data; bytes;) {
        ssize_t n = write(fd, p, bytes);

        if (n <= 0)
            return -1;
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int
write_head(int fd, const char *status, const char *type)
{
    char head[256];
    int  n = snprintf(head, sizeof head, "HTTP/1.0 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n\r\n", status, type);

    return write_all(fd, head, (size_t)n);
}

/* Answer to a path; the connection's end is the end of the answer. */
static int
handle(int fd, const char *path)
{
    if (strcmp(path, "/") == 0 || strncmp(path, "/?", 2) == 0)
        return write_head(fd, "200 OK", "text/html; charset=utf-8") || write_all(fd, page_html, sizeof page_html);
    if (strcmp(path, "/stats.json") == 0)
        return write_head(fd, "200 OK", "application/json") || wane_stats_json_write(fd);
    if (strcmp(path, "/metrics") == 0)
        return write_head(fd, "200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8") || wane_metrics_write(fd);
    return write_head(fd, "404 Not Found", "text/plain") || write_all(fd, "not here\n", 9);
}

static void
serve(int fd)
{
    char    request[4096], path[256];
    size_t  used = 0;
    ssize_t n;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
    do {
        n = read(fd, request + used, sizeof request - 1 - used);
        used += n > 0 ? (size_t)n : 0;
        request[used] = 0;
    } while (n > 0 && used < sizeof request - 1 && !strstr(request, "\r\n\r\n"));
    if (sscanf(request, "GET %255s HTTP/", path) == 1)
        (void)handle(fd, path);
    close(fd);
}

static int
listen_at(unsigned short port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t          size = sizeof a;
    int                fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) || bind(fd, (struct sockaddr *)&a, size) ||
        listen(fd, 16) || getsockname(fd, (struct sockaddr *)&a, &size))
        return -1;
    printf("http://127.0.0.1:%u/\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int
main(int argc, char **argv)
{
    struct pollfd watched[2] = {{.fd = listen_at((unsigned short)(argc > 1 ? atoi(argv[1]) : 0)), .events = POLLIN},
                                {.fd = 0, .events = POLLIN}};
    pthread_t     worker;

    if (watched[0].fd < 0) {
        perror("metrics_server");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    if (pthread_create(&worker, NULL, work, NULL))
        return 1;
    while (poll(watched, 2, -1) > 0 && !watched[1].revents)
        if (watched[0].revents)
            serve(accept(watched[0].fd, NULL, NULL));
    atomic_store(&ends, true);
    pthread_join(worker, NULL);
    for (size_t i = 0; i < sizeof forest / sizeof forest[0]; i++)
        wane_clear(&forest[i]);
    return wane_shutdown() != 0;
}
