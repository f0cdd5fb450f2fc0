/* SPDX-License-Identifier: MIT
 *
 * main.c - graphd, a store for strings, hashes and graphs in memory that clients of Redis can talk to
 *
 * The main thread takes connections and hands them to the loops in turn, hears signals, and ends everything in order. Settings
 * are flags; usage below. Exit status: 0; 1: values were left at the end (a leak), or it could not start; 2: bad flags.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "metrics.h"
#include "space.h"

#define MOST_THREADS 64
#define OTHER_FILES 64 /* descriptors that are no clients */

struct server server = {
    .options = {.bind = "127.0.0.1", .port = 6380, .maxclients = 10000, .output_limit = (size_t)128 << 20},
    .stop = -1,
};

static struct loop loops[MOST_THREADS];

static int
usage(FILE *to)
{
    fputs("usage: graphd [--port N] [--bind ADDRESS] [--threads N] [--maxmemory BYTES] [--maxclients N] [--timeout SECONDS]\n"
          "              [--output-limit BYTES] [--metrics-port N] [--page FILE]\n\n"
          "  --port          6380; 0: any that is free (it is printed)\n"
          "  --bind          127.0.0.1: there are no passwords\n"
          "  --threads       as many as there are processors\n"
          "  --maxmemory     above it keys go that were not used for longest; k, m, g may follow. 0: no limit\n"
          "  --timeout       silent clients are closed after so many seconds; 0: never\n"
          "  --output-limit  of what waits for one client, 128m\n"
          "  --metrics-port  HTTP, 0: any that is free: /metrics, /stats.json, and at / the file --page\n",
          to);
    return 2;
}

/* ---- Flags ------------------------------------------------------------------------------------------------------------ */

static bool
size_of(const char *text, size_t most, size_t *out)
{
    char  *end;
    size_t n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || errno != 0)
        return false;
    for (const char *unit = "kmg"; *unit && *end; unit++) {
        if (n > SIZE_MAX / 1024)
            return false;
        n *= 1024;
        if (tolower((unsigned char)*end) == *unit) {
            end++;
            break;
        }
    }
    *out = n;
    return !*end && n <= most;
}

static bool
number_of(const char *text, unsigned most, unsigned *out)
{
    size_t n;

    if (!size_of(text, most, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

static bool
flag(struct options *o, const char *name, const char *value)
{
    struct in_addr address;

    if (strcmp(name, "--port") == 0)
        return number_of(value, 65535, &o->port);
    if (strcmp(name, "--threads") == 0)
        return number_of(value, MOST_THREADS, &o->threads) && o->threads > 0;
    if (strcmp(name, "--maxmemory") == 0)
        return size_of(value, SIZE_MAX / 2, &o->maxmemory);
    if (strcmp(name, "--maxclients") == 0)
        return number_of(value, 1000000, &o->maxclients);
    if (strcmp(name, "--timeout") == 0)
        return number_of(value, 1000000, &o->timeout);
    if (strcmp(name, "--output-limit") == 0)
        return size_of(value, SIZE_MAX / 2, &o->output_limit);
    if (strcmp(name, "--metrics-port") == 0) {
        o->metrics = true;
        return number_of(value, 65535, &o->metrics_port);
    }
    if (strcmp(name, "--page") == 0)
        o->page = value;
    else if (strcmp(name, "--bind") == 0 && inet_pton(AF_INET, value, &address) == 1)
        o->bind = value;
    else
        return false;
    return true;
}

/* `--name value` or `--name=value`. 0, or the exit status plus 1. */
static int
flags(struct options *o, int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        char *name = arguments[i], *value = strchr(name, '=');

        if (strcmp(name, "--help") == 0) {
            usage(stdout);
            return 1;
        }
        if (value)
            *value++ = '\0';
        else
            value = arguments[++i];
        if (!value || !flag(o, name, value)) {
            fprintf(stderr, "graphd: no such flag, or bad value: %s\n", name);
            return usage(stderr) + 1;
        }
    }
    if (o->threads == 0)
        o->threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (o->threads > MOST_THREADS)
        o->threads = MOST_THREADS;
    return 0;
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------------- */

/* The socket, and the port it got; or -1. */
static int
listen_on(const char *address, unsigned *port, int flags_of_socket)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t          size = sizeof name;
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags_of_socket, 0), yes = 1;

    inet_pton(AF_INET, address, &name.sin_addr);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
        fprintf(stderr, "graphd: %s port %u: %s\n", address, *port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(name.sin_port);
    return fd;
}

/* As many descriptors as clients may need, or fewer clients. */
static void
make_room_for_clients(struct options *o)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    if (files.rlim_cur < o->maxclients + OTHER_FILES) {
        files.rlim_cur = files.rlim_max < o->maxclients + OTHER_FILES ? files.rlim_max : o->maxclients + OTHER_FILES;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < o->maxclients + OTHER_FILES)
        o->maxclients = files.rlim_cur > 2 * OTHER_FILES ? (unsigned)files.rlim_cur - OTHER_FILES : OTHER_FILES;
}

static void
refuse(int fd)
{
    static const char words[] = "-ERR max number of clients reached\r\n";

    __atomic_fetch_add(&server.refused, 1, __ATOMIC_RELAXED);
    (void)!send(fd, words, sizeof words - 1, MSG_NOSIGNAL);
    close(fd);
}

/* Returns false when there are no descriptors left, so that the caller can wait a little. */
static bool
take_clients(int listener)
{
    static unsigned turn;
    int             fd, yes = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (__atomic_add_fetch(&server.clients, 1, __ATOMIC_RELAXED) > server.options.maxclients) {
            __atomic_fetch_sub(&server.clients, 1, __ATOMIC_RELAXED);
            refuse(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
        if (!loop_give(&loops[turn++ % server.options.threads], fd)) {
            __atomic_fetch_sub(&server.clients, 1, __ATOMIC_RELAXED);
            refuse(fd);
        }
    }
    return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
}

/* ---- From beginning to end ---------------------------------------------------------------------------------------------- */

void
server_stop(void)
{
    uint64_t one = 1;

    (void)!write(server.stop, &one, sizeof one);
}

/* Blocked here, before any thread is started: signals come by the descriptor only. */
static int
hear_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void
serve(int listener, int signals)
{
    struct pollfd ready[3] = {
        {.fd = signals, .events = POLLIN}, {.fd = server.stop, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    bool full = false;

    while (poll(ready, full ? 2 : 3, full ? 10 : -1) >= 0 || errno == EINTR) {
        if (ready[0].revents || ready[1].revents)
            return;
        full = !take_clients(listener);
    }
}

static void
greet(void)
{
    const struct options *o = &server.options;

    printf("graphd listens on %s port %u, with %u threads over %s\n", o->bind, o->port, o->threads, heap_name());
    if (o->metrics)
        printf("http://%s:%u/\n", o->bind, o->metrics_port);
    printf("try: redis-cli -p %u GLINK a b friend\n", o->port);
    fflush(stdout);
}

static int
end(unsigned started)
{
    int left;

    for (unsigned i = 0; i < started; i++)
        loop_end(&loops[i]);
    metrics_end();
    (void)heap_limit(0, NULL); /* or the background evicts from what is closed */
    space_close();
    left = heap_close();
    printf("graphd: %d values left\n", left);
    return left != 0;
}

static int
run(int listener, int metrics, int signals)
{
    struct options *o = &server.options;
    unsigned        started = 0;
    int             status;

    if (metrics >= 0 && !metrics_start(metrics, o->page))
        fprintf(stderr, "graphd: metrics: %s\n", strerror(errno));
    while (started < o->threads && loop_start(&loops[started], started))
        started++;
    if (started == o->threads) {
        greet();
        serve(listener, signals);
    } else {
        fprintf(stderr, "graphd: thread %u: %s\n", started, strerror(errno));
    }
    status = end(started);
    return started < o->threads ? 1 : status;
}

int
main(int count, char **arguments)
{
    struct options *o = &server.options;
    int             status = flags(o, count, arguments), listener, metrics = -1, signals;

    if (status != 0)
        return status - 1;
    server.started = clock_look();
    signals = hear_signals();
    server.stop = eventfd(0, EFD_CLOEXEC);
    make_room_for_clients(o);
    listener = listen_on(o->bind, &o->port, SOCK_NONBLOCK);
    if (o->metrics)
        metrics = listen_on(o->bind, &o->metrics_port, 0);
    if (signals < 0 || server.stop < 0 || listener < 0 || (o->metrics && metrics < 0))
        return 1;
    if (!heap_open() || !space_open() || !heap_limit(o->maxmemory, space_evict)) {
        fprintf(stderr, "graphd: no memory\n");
        return 1;
    }
    status = run(listener, metrics, signals);
    close(listener);
    return status;
}
