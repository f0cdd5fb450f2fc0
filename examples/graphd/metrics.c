/* SPDX-License-Identifier: MIT
 *
 * metrics.c - as much of HTTP as a GET needs, on a thread of its own: one request at a time, a connection each
 *
 * Statistics are written by the library straight to the socket. A client that is slow costs this thread some seconds, and nobody
 * else anything.
 */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "heap.h"

static int         listening = -1, stop = -1;
static const char *shown;
static pthread_t   thread;

static bool
send_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

static void
head(int fd, const char *status, const char *type)
{
    char text[256];
    int  size = snprintf(text, sizeof text,
                         "HTTP/1.1 %s\r\ncontent-type: %s\r\ncache-control: no-store\r\nconnection: close\r\n\r\n", status, type);

    (void)send_all(fd, text, (size_t)size);
}

static void
page(int fd)
{
    static const char links[] = "<!doctype html><title>graphd</title><p><a href=\"/metrics\">metrics</a>, "
                                "<a href=\"/stats.json\">stats.json</a>\n";
    int               file = shown ? open(shown, O_RDONLY | O_CLOEXEC) : -1;

    head(fd, "200 OK", "text/html; charset=utf-8");
    if (file < 0) {
        (void)send_all(fd, links, sizeof links - 1);
        return;
    }
    while (sendfile(fd, file, NULL, 1 << 16) > 0)
        ;
    close(file);
}

static void
respond(int fd, const char *request)
{
    char   path[64] = "";
    size_t n = 0;

    if (strncmp(request, "GET ", 4) != 0) {
        head(fd, "405 Method Not Allowed", "text/plain");
        return;
    }
    for (const char *at = request + 4; *at && *at != ' ' && *at != '?' && *at != '\r' && n + 1 < sizeof path; at++)
        path[n++] = *at;
    if (strcmp(path, "/metrics") == 0) {
        head(fd, "200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8");
        heap_report(fd, false);
    } else if (strcmp(path, "/stats.json") == 0) {
        head(fd, "200 OK", "application/json");
        heap_report(fd, true);
    } else if (strcmp(path, "/") == 0) {
        page(fd);
    } else {
        head(fd, "404 Not Found", "text/plain");
        (void)send_all(fd, "no such page\n", 13);
    }
}

/* A request is looked at when its head is complete; two seconds of silence end it. */
static void
serve(int fd)
{
    struct timeval patience = {.tv_sec = 2};
    char           request[4096];
    size_t         used = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (used + 1 < sizeof request) {
        ssize_t n = recv(fd, request + used, sizeof request - 1 - used, 0);

        if (n <= 0)
            return;
        used += (size_t)n;
        request[used] = '\0';
        if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n")) {
            respond(fd, request);
            shutdown(fd, SHUT_WR);
            return;
        }
    }
}

static void *
run(void *arg)
{
    struct pollfd ready[2] = {{.fd = listening, .events = POLLIN}, {.fd = stop, .events = POLLIN}};

    (void)arg;
    heap_thread_begin();
    while (poll(ready, 2, -1) >= 0 || errno == EINTR) {
        int fd;

        if (ready[1].revents)
            break;
        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve(fd);
        close(fd);
    }
    heap_thread_end();
    return NULL;
}

bool
metrics_start(int listener, const char *file)
{
    listening = listener;
    shown = file;
    stop = eventfd(0, EFD_CLOEXEC);
    return stop >= 0 && pthread_create(&thread, NULL, run, NULL) == 0;
}

void
metrics_end(void)
{
    uint64_t one = 1;

    if (stop < 0)
        return;
    if (write(stop, &one, sizeof one) == sizeof one)
        pthread_join(thread, NULL);
    close(stop);
    close(listening);
}
