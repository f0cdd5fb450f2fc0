/* SPDX-License-Identifier: MIT
 *
 * load.c - load for graphd and for whatever speaks RESP; how long each batch of requests took
 *
 *   load PORT WORKLOAD THREADS CONNECTIONS PIPELINE SECONDS [SEED [RATE]]
 *
 * Each connection sends PIPELINE requests, waits for all replies, and sends the next; a thread looks after its CONNECTIONS. The
 * time from the first byte to the last reply counts for each request of the batch. One line of JSON comes out: operations,
 * seconds, p50, p99, p999, worst (microseconds), errors (replies that begin with a minus).
 *
 * So the server has as much to do as it can, and the times are those of waiting for a processor. With a RATE (requests a second,
 * all connections together) each batch has a moment when it is due, and its time counts from then, however late it could be sent:
 * a server that stands still is charged for all that came meanwhile.
 *
 *   mixed   four GET of five, one SET, of 64 bytes, among 100,000 keys
 *   graph   walks, looks, links, cuts and drops among 2,000 nodes, each linked to the eight behind it: half of the requests read.
 *           Links are made anew all the time, so what still leads to dropped nodes goes, and the graph does not grow
 *   rings   rings of three nodes are linked, and their names dropped: each is garbage in a cycle
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "../peer.h"

#define MOST_CONNECTIONS 64
#define NS               1000000000u

struct connection {
    int      fd;
    char    *out;
    size_t   out_size, out_sent, out_room;
    uint64_t began;          /* when the batch was sent; with a rate, when it is due */
    long     wanted, nested; /* replies of the batch that are missing; elements of an array that are missing */
    long     bulk;           /* bytes of a bulk string to skip */
    char     line[64];
    unsigned line_used;
    uint64_t rings;
};

struct load {
    pthread_t        thread;
    int              id, connections, pipeline, port;
    uint64_t         seed, end, operations, errors;
    uint64_t         every; /* ns from one batch of a connection to its next; 0: at once */
    struct histogram times;
    void (*make)(struct load *l, struct connection *c);
};

/* ---- Requests --------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void
request(struct connection *c, const char *format, ...)
{
    char    text[256], *word = text, *end;
    int     words = 1;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (const char *at = text; *at; at++)
        words += *at == ' ';
    if (c->out_room - c->out_size < 1024) {
        c->out_room = 2 * c->out_room + 4096;
        c->out = must(realloc(c->out, c->out_room));
    }
    c->out_size += (size_t)sprintf(c->out + c->out_size, "*%d\r\n", words);
    for (; words > 0; words--, word = end + 1) {
        end = strchr(word, ' ');
        if (!end)
            end = word + strlen(word);
        c->out_size += (size_t)sprintf(c->out + c->out_size, "$%d\r\n%.*s\r\n", (int)(end - word), (int)(end - word), word);
    }
    c->wanted++;
}

static void
mixed(struct load *l, struct connection *c)
{
    unsigned key = (unsigned)(random_next(&l->seed) % 100000);

    if (random_next(&l->seed) % 5)
        request(c, "GET key:%u", key);
    else
        request(c, "SET key:%u %064u", key, key);
}

static void
graph(struct load *l, struct connection *c)
{
    unsigned a = (unsigned)(random_next(&l->seed) % 2000), b = (a + 1 + (unsigned)(random_next(&l->seed) % 8)) % 2000;
    unsigned what = (unsigned)(random_next(&l->seed) % 100);

    if (what < 30)
        request(c, "GWALK node:%u 2 LIMIT 50", a);
    else if (what < 50)
        request(c, "GNEIGHBORS node:%u", a);
    else if (what < 80)
        request(c, "GLINK node:%u node:%u l%u", a, b, b % 3);
    else if (what < 92)
        request(c, "GUNLINK node:%u node:%u l%u", a, b, b % 3);
    else
        request(c, "GDROP node:%u", a);
}

static void
rings(struct load *l, struct connection *c)
{
    unsigned n = (unsigned)(c->rings / 6 % 1000), step = (unsigned)(c->rings++ % 6);

    if (step < 3)
        request(c, "GLINK ring:%d:%d:%u:%u ring:%d:%d:%u:%u next", l->id, c->fd, n, step, l->id, c->fd, n, (step + 1) % 3);
    else
        request(c, "GDROP ring:%d:%d:%u:%u", l->id, c->fd, n, step - 3);
}

static const struct {
    const char *name;
    void (*make)(struct load *l, struct connection *c);
} workloads[] = {{"mixed", mixed}, {"graph", graph}, {"rings", rings}};

/* ---- Replies ---------------------------------------------------------------------------------------------------------- */

static void
element_done(struct connection *c)
{
    if (c->nested > 0)
        c->nested--;
    if (c->nested == 0)
        c->wanted--;
}

/* Arrays do not lie in arrays in what is asked for here. */
static void
line_done(struct load *l, struct connection *c)
{
    long n = atol(c->line + 1);

    c->line[c->line_used] = '\0';
    n = atol(c->line + 1);
    c->line_used = 0;
    if (c->line[0] == '-')
        l->errors++;
    if (c->line[0] == '*' && n > 0)
        c->nested = n;
    else if (c->line[0] == '$' && n >= 0)
        c->bulk = n + 2;
    else
        element_done(c);
}

static void
take(struct load *l, struct connection *c, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (c->bulk > 0) {
            size_t skipped = (size_t)c->bulk < size - i ? (size_t)c->bulk : size - i;

            c->bulk -= (long)skipped;
            i += skipped - 1;
            if (c->bulk == 0)
                element_done(c);
        } else if (bytes[i] == '\n') {
            line_done(l, c);
        } else if (c->line_used + 1 < sizeof c->line) {
            c->line[c->line_used++] = bytes[i];
        }
    }
}

/* ---- Threads ---------------------------------------------------------------------------------------------------------- */

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static void
send_batch(struct load *l, struct connection *c)
{
    c->out_size = c->out_sent = 0;
    for (int i = 0; i < l->pipeline; i++)
        l->make(l, c);
    if (!l->every)
        c->began = wall_ns();
    while (c->out_sent < c->out_size) { /* the pipeline is short enough for the socket's buffers */
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL);

        if (n < 0)
            fail("send");
        c->out_sent += (size_t)n;
    }
}

/* Sends the next batch if it is due. When to ask again; UINT64_MAX: not before a reply has come, or never. */
static uint64_t
go_on(struct load *l, struct connection *c, uint64_t now)
{
    if (c->wanted > 0 || c->began >= l->end)
        return UINT64_MAX;
    if (c->began > now)
        return c->began;
    send_batch(l, c);
    return UINT64_MAX;
}

static void
receive(struct load *l, struct connection *c)
{
    static __thread char buffer[1 << 16];
    ssize_t              n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    uint64_t             now;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("recv");
    take(l, c, buffer, (size_t)n);
    if (c->wanted > 0)
        return;
    n = l->pipeline;
    l->operations += (uint64_t)n;
    now = wall_ns();
    for (uint64_t ns = now - c->began; n > 0; n--)
        histogram_add(&l->times, ns);
    c->began = l->every ? c->began + l->every : now;
    (void)go_on(l, c, now);
}

static int
connected(int port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int                fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

    inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void *
run(void *arg)
{
    struct load      *l = arg;
    struct connection all[MOST_CONNECTIONS] = {{0}};
    struct pollfd     ready[MOST_CONNECTIONS];

    prctl(PR_SET_TIMERSLACK, 1ul);
    for (int i = 0; i < l->connections; i++) {
        all[i].fd = connected(l->port);
        ready[i] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
        all[i].began = wall_ns() + l->every * (uint64_t)i / (uint64_t)l->connections;
    }
    for (;;) {
        uint64_t        now = wall_ns(), next = now + (uint64_t)60 * NS, due;
        struct timespec wait;
        bool            busy = false;

        for (int i = 0; i < l->connections; i++) {
            due = go_on(l, &all[i], now);
            busy |= due != UINT64_MAX || all[i].wanted > 0;
            next = due < next ? due : next;
        }
        if (!busy)
            break;
        wait = (struct timespec){(time_t)((next - now) / NS), (long)((next - now) % NS)};
        if (ppoll(ready, (nfds_t)l->connections, &wait, NULL) < 0 || wall_ns() >= now + (uint64_t)60 * NS)
            fail("no reply for a minute");
        for (int i = 0; i < l->connections; i++)
            if (ready[i].revents)
                receive(l, &all[i]);
    }
    for (int i = 0; i < l->connections; i++) {
        close(all[i].fd);
        free(all[i].out);
    }
    return NULL;
}

/* The upper end of the bucket in which a part of all lies, in microseconds. */
static double
quantile(const struct histogram *h, uint64_t all, double part)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += h->count[i];
        if ((double)seen >= part * (double)all)
            return (i < 8 ? i + 1.0 : (double)((uint64_t)(i % 8 + 9) << (i / 8 - 1))) / 1000;
    }
    return (double)h->worst / 1000;
}

int
main(int argc, char **argv)
{
    int              threads, makes = -1;
    struct load     *l;
    struct histogram times = {{0}, 0};
    uint64_t         began, every = 0, operations = 0, errors = 0;

    (void)peer_main;
    if (argc < 7 || atoi(argv[4]) > MOST_CONNECTIONS) {
        fprintf(stderr, "usage: %s PORT WORKLOAD THREADS CONNECTIONS PIPELINE SECONDS [SEED [RATE]]\n", argv[0]);
        return 2;
    }
    for (unsigned i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        if (strcmp(argv[2], workloads[i].name) == 0)
            makes = (int)i;
    if (makes < 0)
        return 3;
    threads = atoi(argv[3]);
    if (argc > 8)
        every = (uint64_t)(atof(argv[5]) * atof(argv[4]) * threads * NS / atof(argv[8]));
    l = must(calloc((size_t)threads, sizeof *l));
    began = wall_ns();
    for (int i = 0; i < threads; i++) {
        l[i] = (struct load){.id = i, .connections = atoi(argv[4]), .pipeline = atoi(argv[5]), .port = atoi(argv[1]),
                             .seed = RANDOM_SEED + (uint64_t)i * 7919 + (argc > 7 ? strtoull(argv[7], NULL, 10) : 0),
                             .end = began + (uint64_t)(atof(argv[6]) * NS), .every = every, .make = workloads[makes].make};
        if (pthread_create(&l[i].thread, NULL, run, &l[i]) != 0)
            fail("thread");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(l[i].thread, NULL);
        operations += l[i].operations;
        errors += l[i].errors;
        times.worst = l[i].times.worst > times.worst ? l[i].times.worst : times.worst;
        for (unsigned k = 0; k < BUCKETS; k++)
            times.count[k] += l[i].times.count[k];
    }
    printf("{\"operations\": %llu, \"seconds\": %.3f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"worst\": %.1f, "
           "\"errors\": %llu}\n",
           (unsigned long long)operations, (double)(wall_ns() - began) / 1e9, quantile(&times, operations, 0.5),
           quantile(&times, operations, 0.99), quantile(&times, operations, 0.999), (double)times.worst / 1000,
           (unsigned long long)errors);
    free(l);
    return 0;
}
